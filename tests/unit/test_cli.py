"""The program as a person meets it: exit codes, words, what it imports, what it does with a bug."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet import __version__
from kvmnet.cli import main as program
from kvmnet.cli import rollback
from kvmnet.cli.host import Console, this_machines
from kvmnet.core import catalogue
from kvmnet.core.base.errors import Refused
from kvmnet.system import links
from kvmnet.system.errors import HostError
from kvmnet.transaction import history, prepare

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "examples/rocks/cluster.yaml")
BAD = str(ROOT / "tests/golden/bad/twelve-mistakes-in-three-files/cluster.d")


def run(*arguments: str) -> int:
    return program.main(list(arguments))


def test_validate(capfdbinary: Any) -> None:
    assert run("validate", EXAMPLE) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"" and err == b"no problem in 1 host\n"


def test_validate_tells_all_problems_and_ends_with_1(capfdbinary: Any) -> None:
    assert run("validate", BAD) == 1
    out, err = capfdbinary.readouterr()
    assert out.count(b": KVN") == 12 and b"12 errors" in err
    assert b"b-hosts.yaml:6:23: KVN101 unknown network 'privat'\n" in out


@pytest.mark.parametrize("form", ["json", "github"])
def test_validate_in_other_forms(form: str, capfdbinary: Any) -> None:
    assert run("validate", BAD, "--format", form) == 1
    out = capfdbinary.readouterr()[0].decode()
    if form == "json":
        rows = json.loads(out)["problems"]
        places = [f"{row['file']}:{row['line']}:{row['column']}: {row['code']}" for row in rows]
    else:
        shape = r"^::error file=([^,]+),line=([0-9]+),col=([0-9]+),title=(KVN[0-9]+)::"
        places = [f"{file}:{row}:{column}: {code}" for file, row, column, code in re.findall(shape, out, re.MULTILINE)]
    assert run("validate", BAD) == 1
    text = capfdbinary.readouterr()[0].decode()
    assert places == re.findall(r"^[^ ]+:[0-9]+:[0-9]+: KVN[0-9]+", text, re.MULTILINE)
    assert len(places) == 12 and len({place.partition(":")[0] for place in places}) == 3
    assert run("validate", EXAMPLE, "--format", form) == 0
    out = capfdbinary.readouterr()[0]
    assert (json.loads(out) == {"problems": [], "silenced": []}) if form == "json" else out == b""


def test_a_warning_alone_is_no_failure(tmp_path: Path, capfdbinary: Any) -> None:
    (tmp_path / "c.yaml").write_text(
        "kvmnet: 1\ncluster: c\nprofile: rocks\nhosts: {a: {interfaces: {eth0: {mac: 02:00:00:00:00:01}}}}\n"
    )
    assert run("validate", str(tmp_path / "c.yaml")) == 0
    out, err = capfdbinary.readouterr()
    assert b"KVN123 warning:" in out and b"1 warning;" in err


def test_explain(capfdbinary: Any) -> None:
    assert run("explain") == 0
    listed = capfdbinary.readouterr()[0].decode().splitlines()
    assert [line.split()[0] for line in listed] == [entry.code for entry in catalogue.all_codes()]
    for entry in catalogue.all_codes():
        assert run("explain", entry.code.lower()) == 0
        out = capfdbinary.readouterr()[0].decode()
        assert out.startswith(f"{entry.code}: {entry.title}\n\n") and len(entry.page) > 40
    assert run("explain", "KVN999") == 2


def test_every_code_is_used_in_the_sources() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "kvmnet").rglob("*.py"))
    sources += (ROOT / "schemas/cluster.schema.json").read_text()
    for entry in catalogue.all_codes():
        assert sources.count(f'"{entry.code}"') >= 2, entry.code  # registered, and told somewhere


def test_render_to_stdout_and_to_a_folder(tmp_path: Path, capfdbinary: Any) -> None:
    golden = ROOT / "tests/golden/good/example-rocks/expected/vm-container-0-0"
    assert run("render", EXAMPLE) == 0
    assert capfdbinary.readouterr()[0] == (golden / "nmstate.yml").read_bytes()
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out")) == 0
    written = tmp_path / "new" / "out" / "vm-container-0-0"
    assert {p.name: p.read_bytes() for p in written.iterdir()} == {p.name: p.read_bytes() for p in golden.iterdir()}
    capfdbinary.readouterr()
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out"), "--check") == 0
    (written / "nmstate.yml").unlink()
    (written / "guests.yml").write_text("")
    (written / "00-kvmnet-x.link").write_text("")
    assert run("render", EXAMPLE, "-o", str(tmp_path / "new" / "out"), "--check") == 6
    words = [line.split(b":")[0] for line in capfdbinary.readouterr()[0].splitlines()]
    assert words == [b"missing", b"stale", b"surplus"]
    assert not (written / "nmstate.yml").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["validate", "--nonsense"], 2),
        (["validate", EXAMPLE, "--format", "xml"], 2),
        (["render", EXAMPLE, "--check"], 2),
        (["render", EXAMPLE, "--host", "vm-container-0-9"], 2),
        (["render", BAD], 1),
        (["validate", "/nonexistent"], 1),
        (["--version"], 0),
        (["--help"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int, capfdbinary: Any) -> None:
    assert run(*arguments) == code
    assert b"Traceback" not in b"".join(capfdbinary.readouterr())


def test_help_names_every_verb_and_exit_code(capfdbinary: Any) -> None:
    run("--help")
    out = capfdbinary.readouterr()[0].decode()
    for verb in program.VERBS:
        assert f" {verb} " in out
    for code in range(7):
        assert f" {code} " in out


def test_a_bug_is_one_message_and_a_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    from kvmnet import pipeline

    def broken(_: Any) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(pipeline, "load", broken)
    assert run("validate", EXAMPLE) == 1
    err = capfdbinary.readouterr()[1].decode()
    assert "Traceback" not in err and "RuntimeError: oh" in err
    (log,) = tmp_path.glob("kvmnet-*.log")
    assert str(log) in err and "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_start_is_light(arguments: list[str]) -> None:
    heavy = "{'yaml', 'jsonschema', 'rich', 'jeepney', 'kvmnet.pipeline'}"
    script = (
        f"import sys; from kvmnet.cli.main import main; main({arguments}); print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("[]\n"), done.stdout


def test_as_a_module_and_in_a_closed_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kvmnet", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == f"kvmnet {__version__}\n"
    script = f"{sys.executable} -m kvmnet explain | true; {sys.executable} -m kvmnet render {EXAMPLE} | head -n 1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""


@pytest.mark.guarantee("G48")
def test_under_the_c_locale_the_bytes_are_the_same() -> None:
    env = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "kvmnet", "render", EXAMPLE], capture_output=True, check=True, cwd=ROOT, env=env
    )
    golden = ROOT / "tests/golden/good/example-rocks/expected/vm-container-0-0/nmstate.yml"
    assert done.stdout == golden.read_bytes()


def test_a_name_that_is_no_text_is_told_all_the_same(capfdbinary: Any) -> None:
    Console(as_json=False).line("links n\udcff: gone")
    assert capfdbinary.readouterr()[0] == b"links n\\udcff: gone\n"


@pytest.mark.parametrize("name", ["cluster", "profile", "state"])
def test_schema_prints_the_file(name: str, capfdbinary: Any) -> None:
    assert run("schema", name) == 0
    assert capfdbinary.readouterr()[0] == (ROOT / f"schemas/{name}.schema.json").read_bytes()
    assert run("schema", "clutser") == 2  # codespell:ignore clutser


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `rollback` and `remove` ask for, on a host that has one change to give back."""
    asked: list[Any] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(history, "opened", lambda _: None)
    monkeypatch.setattr(history, "before_the_last", lambda _: {})
    monkeypatch.setattr(rollback, "_applied", lambda _: None)
    monkeypatch.setattr(rollback, "carry_out", lambda console, make, yes, dry_run: make(Path("/nonexistent")) or 0)
    for word in ("prepare", "prepare_removal"):
        monkeypatch.setattr(prepare, word, lambda bundle, state, wishes, tell: asked.append(wishes))
    return asked


@pytest.mark.parametrize("verb", ["remove", "rollback"])
@pytest.mark.parametrize("before", [{}, {"bundle.json": "{}"}])
@pytest.mark.parametrize(("words", "seconds"), [([], None), (["--no-confirm"], 0), (["--confirm-within", "300"], 300)])
def test_the_way_back_may_wait_for_a_word_from_outside(
    monkeypatch: pytest.MonkeyPatch,
    wishes: list[Any],
    verb: str,
    before: dict[str, str],
    words: list[str],
    seconds: Optional[int],
) -> None:
    monkeypatch.setattr(history, "before_the_last", lambda _: before)
    monkeypatch.setattr("kvmnet.core.rendering.bundle_files.read_bundle", lambda *_: None)
    assert run(verb, "--yes", *words) == 0
    assert [asked.confirm for asked in wishes] == [seconds]


@pytest.mark.parametrize("verb", ["apply", "remove", "rollback"])
@pytest.mark.parametrize(
    "words",
    [["--confirm-within", "60", "--no-confirm"], ["--confirm-within", "9"], ["--confirm-within", "3601"]],
)
def test_what_cannot_be_waited_for_is_a_mistake_of_the_command_line(
    wishes: list[Any], verb: str, words: list[str], capfdbinary: Any
) -> None:
    assert run(verb, "--yes", *words) == 2
    assert wishes == [] and b"--confirm-within" in capfdbinary.readouterr()[1]


def test_a_machine_that_does_not_tell_its_links_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise HostError("ip -d -j link show: no such program")

    monkeypatch.setattr(links, "read_links", fails)
    with pytest.raises(Refused, match=r"this host could not be read: ip -d") as told:
        this_machines([], None)
    assert (told.value.code, told.value.exit_code) == ("KVN512", 5)
