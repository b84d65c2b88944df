"""Tests of the pipelines in examples/ci: their schemas, and every command in them, run with the real git.

`pip`, `gh` and `curl` are programs that record how they are called: no test needs a network.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from tests.unit.cli.samples import run
from tests.unit.test_git_files import git

ROOT = Path(__file__).parents[2]
GITHUB, GITLAB = ROOT / "examples/ci/github.yml", ROOT / "examples/ci/gitlab.yml"
MARKER = "<!-- kvmnet diff -->"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")

#: Records its arguments and the text that it would send; a comment that exists has ID 7.
STAND_IN = """#!{python}
import json, os, sys
words = sys.argv[1:]
body = next((w.partition("@")[2] for w in words if w.startswith("body")), None)
text = open(body).read() if body else None
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), words, text]) + "\\n")
comments = json.loads(os.environ["COMMENTS"])
if "--jq" in words:
    print("\\n".join(str(c["id"]) for c in comments if c["body"].startswith("{marker}")))
if "--output" in words:
    json.dump(comments, open(words[words.index("--output") + 1], "w"))
"""


class Pipeline:
    """A repository made by `kvmnet init`, with a branch that changes the definition, and how to run commands there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "site"
        self.calls = folder / "calls"
        programs = folder / "bin"
        programs.mkdir()
        for name in ("pip", "gh", "curl"):
            (programs / name).write_text(STAND_IN.format(python=sys.executable, marker=MARKER))
        (programs / "kvmnet").write_text(f'#!/bin/sh\nexec {sys.executable} -m kvmnet "$@"\n')
        for program in programs.iterdir():
            program.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CALLS": str(self.calls),
            "COMMENTS": "[]",
        }
        self.edit("origin", "", "")
        git(self.folder, "checkout", "-q", "-b", "work")
        self.edit("work", "gateway: 10.1.0.1", "gateway: 10.1.0.254")

    def edit(self, name: str, old: str, new: str) -> None:
        """Commit a change of the definition, with its states."""
        path = self.folder / "cluster.yaml"
        path.write_text(path.read_text().replace(old, new) if old else path.read_text())
        assert run("render", str(path), "-o", str(self.folder / "states")) == 0
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", name)

    def run(self, script: str, variables: Optional[dict[str, str]] = None, code: int = 0) -> str:
        """Run a script as both platforms do, which end at the first command that fails."""
        environment = {**self.environment, **(variables or {})}
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def sent(self) -> list[Any]:
        """Return the calls of stand-ins since the last time."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@pytest.fixture
def pipeline(tmp_path: Path, capfdbinary: Any) -> Pipeline:
    assert run("init", str(tmp_path / "site")) == 0
    git(tmp_path / "site", "init", "-q", "-b", "main")
    return Pipeline(tmp_path)


def scripts(path: Path) -> dict[str, str]:
    """Return the scripts of a pipeline by the name of their step or job."""
    data = yaml.safe_load(path.read_text())
    if "jobs" in data:
        steps = [step for job in data["jobs"].values() for step in job["steps"]]
        return {step["name"]: step["run"] for step in steps if "run" in step}
    return {name: "\n".join(job["script"]) for name, job in data.items() if isinstance(job, dict) and "script" in job}


def variables_in(path: Path) -> set[str]:
    """Return the variables of the platform that the scripts of a pipeline use."""
    return set(re.findall(r"\$\{?((?:GITHUB|CI|KVMNET)_\w+)", "\n".join(scripts(path).values())))


@pytest.mark.skipif(importlib.util.find_spec("check_jsonschema") is None, reason="check-jsonschema is missing")
@pytest.mark.parametrize(
    ("path", "options"),
    [
        (GITHUB, ["--builtin-schema", "vendor.github-workflows"]),
        (GITLAB, ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
    ids=["github", "gitlab"],
)
def test_a_pipeline_has_the_schema_of_its_platform(path: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_github(pipeline: Pipeline) -> None:
    git(pipeline.folder, "update-ref", "refs/remotes/origin/main", "main")
    summary = pipeline.folder.parent / "summary.md"
    variables = {
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_REPOSITORY": "site/network",
        "NUMBER": "3",
    }
    assert variables_in(GITHUB) <= set(variables)
    steps = list(scripts(GITHUB).values())
    for script in steps:
        pipeline.run(script, variables)
    text = (pipeline.folder / "diff.md").read_text()
    assert text.startswith(MARKER) and "gains the default route via 10.1.0.254" in text
    assert summary.read_text() == text
    _, _, (program, words, body) = pipeline.sent()
    assert program == "gh" and words[:4] == ["api", "--method", "POST", "repos/site/network/issues/3/comments"]
    assert body == text
    comments = json.dumps([{"id": 5, "body": "other"}, {"id": 7, "body": MARKER + "\nold"}])
    pipeline.run(steps[-1], {**variables, "COMMENTS": comments})
    _, (_, words, body) = pipeline.sent()
    assert words[:4] == ["api", "--method", "PATCH", "repos/site/network/issues/comments/7"] and body == text


def test_gitlab(pipeline: Pipeline) -> None:
    base = git(pipeline.folder, "rev-parse", "main")
    variables = {
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        "CI_API_V4_URL": "https://gitlab.example.org/api/v4",
        "CI_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_IID": "3",
        "KVMNET_COMMENT_TOKEN": "secret",
    }
    assert variables_in(GITLAB) <= set(variables)
    jobs = scripts(GITLAB)
    for script in jobs.values():
        pipeline.run(script, variables)
    assert json.loads((pipeline.folder / "code-quality.json").read_text()) == []
    text = (pipeline.folder / "diff.md").read_text()
    assert "gains the default route via 10.1.0.254" in text
    calls = [call for call in pipeline.sent() if call[0] == "curl"]
    notes = "https://gitlab.example.org/api/v4/projects/12/merge_requests/3/notes"
    assert [call[1][-1] for call in calls] == [f"{notes}?per_page=100", notes]
    assert "POST" in calls[1][1] and calls[1][2] == text and "PRIVATE-TOKEN: secret" in calls[1][1]
    comments = json.dumps([{"id": 7, "body": MARKER + "\nold"}])
    pipeline.run(jobs["kvmnet-comment"], {**variables, "COMMENTS": comments})
    assert [call[1][-1] for call in pipeline.sent()] == [f"{notes}?per_page=100", f"{notes}/7"]


def test_states_that_do_not_match_and_an_invalid_definition_end_the_pipeline(pipeline: Pipeline) -> None:
    path = pipeline.folder / "cluster.yaml"
    good = path.read_text()
    path.write_text(good.replace("10.1.0.11", "10.1.0.13"))
    steps, jobs = scripts(GITHUB), scripts(GITLAB)
    assert "stale: " in pipeline.run(steps["Check that the states are rendered from the definition"], code=6)
    path.write_text(good.replace("10.1.0.11", "10.9.0.11"))
    assert "KVN110" in pipeline.run(steps["Check the definition"], code=1)
    pipeline.run(jobs["kvmnet-validate"], code=1)
    assert "KVN110" in (pipeline.folder / "code-quality.json").read_text()
