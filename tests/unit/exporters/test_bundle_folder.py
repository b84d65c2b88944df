"""Tests of kvmnet/exporters/bundle_folder.py."""

from __future__ import annotations

import dataclasses

from kvmnet import pipeline
from kvmnet.core.rendering.bundle_files import format_bundle
from kvmnet.exporters.bundle_folder import EXPORTER, state_path

HOST = "vm-container-0-0"


def test_each_host_gets_a_folder_with_the_files_of_its_bundle() -> None:
    bundle = pipeline.load("examples/rocks/cluster.yaml").bundle(HOST)
    files = EXPORTER.export([bundle, dataclasses.replace(bundle, host="other")])
    assert sorted(files) == [
        f"{host}/{name}"
        for host in ("other", HOST)
        for name in ("00-kvmnet-peth0.link", "bundle.json", "guests.yml", "nmstate.yml")
    ]
    assert {
        path.partition("/")[2]: file.text for path, file in files.items() if path.startswith(HOST)
    } == format_bundle(bundle)
    assert {file.mode for file in files.values()} == {0o644}
    assert files[state_path(HOST)].text == format_bundle(bundle)["nmstate.yml"]
