"""Tests of `kvmnet diff`."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.samples import ROOT, run
from tests.unit.core.review.samples import CLUSTER
from tests.unit.test_git_files import git

CHANGED = CLUSTER.replace("10.1.0.1}", "10.1.0.2}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a definition, and a change of it that is not committed."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    (tmp_path / "cluster.yaml").write_text(CHANGED)
    (tmp_path / "old.yaml").write_text(CLUSTER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("HEAD",),
        ("HEAD", "cluster.yaml"),
        ("old.yaml",),
        ("old.yaml", "cluster.yaml"),
        ("--rev", "HEAD"),
        ("--rev", "main", "cluster.yaml"),
    ],
)
def test_both_sides(site: Path, capfdbinary: Any, arguments: tuple[str, ...]) -> None:
    assert run("diff", *arguments) == 0
    output = capfdbinary.readouterr()[0].decode()
    assert output.startswith("2 of 2 hosts change\n") and "gains the default route via 10.1.0.2" in output


def test_two_revisions(site: Path, capfdbinary: Any) -> None:
    git(site, "commit", "-q", "-a", "-m", "two")
    (site / "cluster.yaml").unlink()
    for range_text in ("HEAD~1..HEAD", "HEAD~1...HEAD"):
        assert run("diff", "--rev", range_text, "--exit-code") == 6
        assert "2 of 2 hosts change" in capfdbinary.readouterr()[0].decode()
    assert run("diff", "HEAD..HEAD", "--exit-code") == 0
    assert capfdbinary.readouterr()[0].decode() == "no difference in 2 hosts\n"


def test_json_and_markdown(site: Path, capfdbinary: Any) -> None:
    assert run("diff", "HEAD", "--format", "json", "--exit-code") == 6
    data = json.loads(capfdbinary.readouterr()[0])
    assert data["old"] == "HEAD:cluster.yaml" and [host["host"] for host in data["hosts"]] == ["a", "b"]
    assert run("diff", "HEAD", "--format", "markdown", "--limit", "3000") == 0
    text = capfdbinary.readouterr()[0].decode()
    assert text.startswith("<!-- kvmnet diff -->\n") and len(text) <= 3000


def test_a_cut_text_names_it(site: Path, capfdbinary: Any) -> None:
    hosts = "".join(
        f'  h{n}: {{group: kvm, interfaces: {{eth0: {{mac: "00:14:4f:00:01:{n:02x}", mtu: {1500 + n},'
        f" addresses: [10.1.1.{n}]}}}}}}\n"
        for n in range(1, 60)
    )
    for file, text in (("old.yaml", CLUSTER), ("cluster.yaml", CHANGED)):
        (site / file).write_text(
            text.replace("guests:\n", hosts.replace("mtu: 1", f"mtu: {1 + (text == CHANGED)}") + "guests:\n")
        )
    assert run("diff", "old.yaml", "--limit", "2500") == 0
    output = capfdbinary.readouterr()[0].decode()
    assert len(output) <= 2500 and "cut at 2,500 characters" in output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "nothing to compare with"),
        (("none",), 1, "none is no file or folder, and as a revision: the git repository has no revision 'none'"),
        (("HEAD", "none"), 1, "revision HEAD has no none"),
        (("--rev", "HEAD", "a", "b"), 2, "only one path"),
        (("--rev", "-x"), 2, "'-x' is not a git revision"),
        (("HEAD", "--limit", "10"), 2, "--limit needs at least 2000"),
        (("HEAD", "--limit", "5000", "--format", "json"), 2, "not for json"),
    ],
)
def test_wrong_arguments(site: Path, capfdbinary: Any, arguments: tuple[str, ...], code: int, message: str) -> None:
    assert run("diff", *arguments) == code
    assert message in capfdbinary.readouterr()[1].decode()


def test_an_invalid_definition_is_not_compared(site: Path, capfdbinary: Any) -> None:
    (site / "cluster.yaml").write_text(CLUSTER.replace("network: lan}", "network: lam}"))
    assert run("diff", "HEAD") == 1
    assert "cluster.yaml:" in capfdbinary.readouterr()[1].decode()
    git(site, "commit", "-q", "-a", "-m", "broken")
    (site / "cluster.yaml").write_text(CLUSTER)
    assert run("diff", "HEAD") == 1
    errors = capfdbinary.readouterr()[1].decode()
    assert "HEAD:cluster.yaml:" in errors and "so it cannot have been applied" in errors


def test_the_commands_of_the_howto(tmp_path: Path, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of kvmnet in docs/howto/review.md, in a repository made by `kvmnet init`; the first has the output
    that the page shows."""
    assert run("init", str(tmp_path)) == 0
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    for message in ("one", "two"):
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", message)
    (tmp_path / "old").mkdir()
    definition = tmp_path / "cluster.yaml"
    text = definition.read_text()
    (tmp_path / "old" / "cluster.yaml").write_text(text)
    definition.write_text(text.replace("addresses: [10.1.0.11]}", "addresses: [10.1.0.11], mtu: 9000}"))
    page = (ROOT / "docs/howto/review.md").read_text()
    lines = [line for block in re.findall("^```sh\n(.*?)^```", page, re.M | re.S) for line in block.splitlines()]
    calls = [shlex.split(line.partition(" > ")[0])[1:] for line in lines if line.startswith("kvmnet ")]
    capfdbinary.readouterr()
    assert len(calls) == 8
    outputs = []
    for call in calls:
        assert run(*call) == 0, call
        outputs.append(capfdbinary.readouterr()[0].decode())
    assert f"```\n{outputs[0]}```" in page
