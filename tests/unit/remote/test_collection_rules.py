"""The rules of the Ansible collection are those of `kvmnet remote`; its files are complete. Needs no Ansible."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import kvmnet
from kvmnet.remote import decisions

FOLDER = Path(__file__).parents[3] / "ansible"
MODULES = sorted((FOLDER / "plugins/modules").glob("*.py"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"collection_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RULES = load(FOLDER / "plugins/plugin_utils/decisions.py")
EVENTS: list[list[dict[str, Any]]] = [
    [],
    [{"event": "begin", "id": "T"}],
    [{"event": "begin", "id": "T"}, {"event": "result", "exit": 0}],
    [{"event": "begin", "id": "T"}, {"event": "result", "exit": 3}],
    [{"event": "failed", "code": "KVN560", "exit": 5}],
    [{"event": "failed", "code": "KVN561", "exit": 5}],
    [{"event": "failed", "error": "no reply", "step": 2}],
]


@pytest.mark.parametrize("events", EVENTS)
@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, 127, 255])
def test_a_try_is_judged_alike(events: list[dict[str, Any]], code: int) -> None:
    verdict, end = decisions.judge_try(code, events)
    assert RULES.judge_try(code, events) == (verdict.name.lower(), end)


@pytest.mark.parametrize("outcome", ["kept", "rolled back", "nothing was begun", "unknown"])
@pytest.mark.parametrize("verified", [True, False, None])
def test_the_history_is_read_alike(outcome: str, verified: Any) -> None:
    rows = [{"id": "T", "outcome": outcome, "verified": verified}]
    for identity in ("T", "S"):
        assert RULES.find_outcome(rows, identity) == decisions.find_outcome(rows, identity)


def test_documents_and_events_are_told_apart() -> None:
    text = '{"event": "folder", "path": "/run/x"}\r\n{\r\n  "changes": []\r\n}\r\n{"event": "to'
    assert RULES.parse_events(text) == [{"event": "folder", "path": "/run/x"}]
    assert RULES.parse_document(text, {}) == {"changes": []}
    assert RULES.parse_document("nothing", {}) == {} and RULES.parse_document("[1]", {}) == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_has_its_documentation_and_an_action(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assignments = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    texts = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assignments}
    documentation = yaml.safe_load(texts["DOCUMENTATION"])
    assert documentation["module"] == path.stem
    assert yaml.safe_load(texts["EXAMPLES"]) and yaml.safe_load(texts["RETURN"])
    source = path.read_text()
    for name, option in (documentation["options"] or {}).items():
        assert f'"{name}": ' in source.partition("argument_spec=")[2], name
        assert ("elements" in option) == (option["type"] == "list")
    assert (FOLDER / "plugins/action" / path.name).exists()


def test_the_collection_has_the_version_of_kvmnet() -> None:
    assert yaml.safe_load((FOLDER / "galaxy.yml").read_text())["version"] == kvmnet.__version__
    for path in FOLDER.rglob("*.yml"):
        assert yaml.safe_load(path.read_text()), path


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ('echo \'{"event": "begin"}\'; sleep 5', 0, '{"event": "begin"}\n'),
        ("echo nothing to do; exit 5", 5, "nothing to do\n"),
        ('sleep 3; echo \'{"event": "begin"}\'; touch begun', 0, ""),
    ],
)
def test_a_change_begins_at_once_or_never(tmp_path: Path, command: str, code: int, output: str) -> None:
    """The script that starts it waits for two minutes; here for a second if nothing is expected to begin."""
    tree = ast.parse((FOLDER / "plugins/plugin_utils/change.py").read_text(encoding="utf-8"))
    [text] = [n.value for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "START"]
    script = ast.literal_eval(text).replace("-lt 600", "-lt 100" if output else "-lt 4")
    words = ["sh", "-c", script, "sh", str(tmp_path), "sh", "-c", command]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, output, "")
    if not output:
        time.sleep(3)
        assert not (tmp_path / "begun").exists(), "it was ended"
