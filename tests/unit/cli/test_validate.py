"""Tests of `kvmnet validate`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.samples import BAD, EXAMPLE, run


def test_a_definition_without_problems(capfdbinary: Any) -> None:
    assert run("validate", EXAMPLE) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"" and err == b"no problem in 1 host\n"


def test_all_problems_are_printed_and_the_exit_code_is_1(capfdbinary: Any) -> None:
    assert run("validate", BAD) == 1
    out, err = capfdbinary.readouterr()
    assert out.count(b": KVN") == 12 and b"12 errors (KVN" in err
    counts = re.findall(r"KVN[0-9]+: ([0-9]+)", err.decode())
    assert sum(map(int, counts)) == 12
    assert b"b-hosts.yaml:6:23: KVN101 unknown network 'privat'\n" in out


@pytest.mark.parametrize("form", ["json", "github"])
def test_other_formats_report_the_same_problems(form: str, capfdbinary: Any) -> None:
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


def test_the_exit_code_of_a_warning_is_0(tmp_path: Path, capfdbinary: Any) -> None:
    (tmp_path / "c.yaml").write_text(
        "kvmnet: 1\ncluster: c\nprofile: rocks\nhosts: {a: {interfaces: {eth0: {mac: 02:00:00:00:00:01}}}}\n"
    )
    assert run("validate", str(tmp_path / "c.yaml")) == 0
    out, err = capfdbinary.readouterr()
    assert b"KVN123 warning:" in out and b"1 warning;" in err


def test_equal_warnings_of_many_hosts_are_listed_one_by_one_on_request(tmp_path: Path, capfdbinary: Any) -> None:
    hosts = "".join(f"  h{n}: {{interfaces: {{eth0: {{mac: '02:00:00:00:00:{n:02x}'}}}}}}\n" for n in range(1, 21))
    path = tmp_path / "cluster.yaml"
    path.write_text(f"kvmnet: 1\ncluster: c\nprofile: plain\nhosts:\n{hosts}")
    assert run("validate", str(path)) == 0
    out, err = capfdbinary.readouterr()
    assert out.count(b": KVN123 ") == 1 and b"the same on 19 more hosts (h2, h3, h4, h5, h6, " in out
    assert b"20 warnings" in err
    assert run("validate", str(path), "--all") == 0
    assert capfdbinary.readouterr()[0].count(b": KVN123 ") == 20
    assert run("validate", str(path), "--format", "json") == 0
    assert len(json.loads(capfdbinary.readouterr()[0])["problems"]) == 20
