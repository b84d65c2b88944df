"""The schemas and the naming policies: data files inside the wheel, or at the top of a checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvmnet import resources


def test_there_are_five_schemas() -> None:
    assert resources.schema_names() == ["bundle", "cluster", "plan", "profile", "state"]


@pytest.mark.parametrize("name", ["bundle", "cluster", "plan", "profile", "state"])
def test_a_schema_is_the_json_of_its_file(name: str) -> None:
    text = resources.schema_text(name)
    assert resources.read_schema(name) == json.loads(text)
    assert json.loads(text)["$schema"].startswith("https://json-schema.org/")


def test_the_naming_policies_of_kvmnet_are_rocks_and_plain() -> None:
    policies = resources.read_naming_policies()
    assert list(policies) == ["plain.yaml", "rocks.yaml"]
    assert all(f"name: {file.split('.')[0]}\n" in text for file, text in policies.items())


def test_an_unknown_schema_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        resources.read_schema("nonesuch")


def test_files_inside_the_package_are_used_before_those_of_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "kvmnet"
    for folder, title in ((package / "schemas", "wheel"), (tmp_path / "schemas", "checkout")):
        folder.mkdir(parents=True)
        (folder / "cluster.schema.json").write_text(json.dumps({"title": title}))
    monkeypatch.setattr(resources, "_HERE", package)
    assert resources.read_schema("cluster") == {"title": "wheel"}
    (package / "schemas/cluster.schema.json").unlink()
    (package / "schemas").rmdir()
    assert resources.read_schema("cluster") == {"title": "checkout"}
