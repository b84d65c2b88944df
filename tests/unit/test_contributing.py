"""The first change of CONTRIBUTING.md, made as it is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("kvmnet", "schemas", "profiles", "examples", "tests", "pyproject.toml")


def blocks(language: str) -> list[str]:
    """The code blocks of CONTRIBUTING.md in a language."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return [textwrap.dedent(body) for body in re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.M | re.S)]


def test_the_example_of_a_check_works(tmp_path: Path) -> None:
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
        copy(str(ROOT / part), str(tmp_path / part))
    check, mutation = blocks("python")
    (definition,) = blocks("yaml")
    for file, block in (("kvmnet/core/checks/macs.py", check), ("tests/mutate.py", mutation)):
        with (tmp_path / file).open("a", encoding="utf-8") as opened:
            opened.write(f"\n\n{block}")
    pair = tmp_path / "tests/golden/bad/reserved-guest-mac"
    pair.mkdir()
    (pair / "cluster.yaml").write_text(definition, encoding="utf-8")
    (pair / "expected.txt").write_text(
        "cluster.yaml:9:47: KVN125 MAC address fe:14:4f:80:de:01 of guest g starts with fe, which libvirt reserves\n"
        "    |   g: {host: a, nics: [{network: private, mac: fe:14:4f:80:de:01}]}\n"
        "    |                                               ^\n",
        encoding="utf-8",
    )
    tests = ["tests/golden", "tests/unit/helpers/test_generated.py", "-k", "reserved or mutator or mistake"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-vv", *tests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "test_bad[reserved-guest-mac] PASSED" in done.stdout
    assert "test_every_code_has_a_mutator PASSED" in done.stdout
