"""A bundle as the files of its folder: reading them back, and rejecting edited ones."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.render import compute_digest
from tests.unit.core.rendering.samples import example_bundle, read_bundle


@pytest.fixture
def bundle() -> Bundle:
    return example_bundle()


def test_a_bundle_is_read_back_from_its_files(bundle: Bundle) -> None:
    files = bundle_files.format_bundle(bundle)
    assert sorted(files) == ["00-kvmnet-peth0.link", "bundle.json", "guests.yml", "nmstate.yml"]
    assert read_bundle(files) == bundle


def test_the_files_begin_with_an_explanation(bundle: Bundle) -> None:
    files = bundle_files.format_bundle(bundle)
    header = files["nmstate.yml"].split("---")[0]
    assert "peth0: the NIC with MAC 00:14:4f:80:de:00" in header and "nmstatectl cannot" in header
    assert "libvirt creates its macvtaps" in files["guests.yml"].split("---")[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("bundle.json"), "not a bundle"),
        (lambda f: f.pop("nmstate.yml"), "missing: nmstate.yml"),
        (lambda f: f.pop("guests.yml"), "missing: guests.yml"),
        (lambda f: f.pop("00-kvmnet-peth0.link"), "missing: 00-kvmnet-peth0.link"),
        (lambda f: f.update({"bundle.json": "{"}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[]"}), "must contain a JSON object"),
        (lambda f: f.update({"bundle.json": '{"format": 1}'}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[" * 100_000}), "cannot be read"),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"format": 1', '"format": 99')}), "has format 99"),
        (
            lambda f: f.update({"bundle.json": f["bundle.json"].replace("peth0", "peth1")}),
            "missing: 00-kvmnet-peth1.link",
        ),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"eth0"', '"eth7"')}), "was edited"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("255.254", "255.253")}), "was edited"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("state: up", "state: absent", 1)}), "must be up"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"] + "capture: {}\n"}), "unknown key 'capture'"),
        (lambda f: f.update({"nmstate.yml": "# empty\n"}), "is empty"),
        (lambda f: f.update({"00-kvmnet-peth0.link": "[Link]\nName=x\n"}), "was edited"),
        (lambda f: f.update({"00-kvmnet-eth9.link": "[Link]\n"}), "do not belong to the bundle: 00-kvmnet-eth9.link"),
    ],
)
def test_an_edited_or_incomplete_bundle_is_rejected(
    bundle: Bundle, change: Callable[[dict[str, str]], Any], message: str
) -> None:
    files = bundle_files.format_bundle(bundle)
    change(files)
    with pytest.raises(bundle_files.BundleError) as error:
        read_bundle(files)
    assert message in error.value.message


def test_the_index_has_the_documented_keys(bundle: Bundle) -> None:
    index = json.loads(bundle_files.format_bundle(bundle)["bundle.json"])
    assert list(index) == ["format", "cluster", "host", "profile", "digest", "guests", "links", "nics"]


def test_probes_are_in_the_index_and_in_the_digest(bundle: Bundle) -> None:
    probes = (Probe("tcp", "10.1.1.1:22"), Probe("command", command=("ceph", "-s")))
    unsigned = dataclasses.replace(bundle, probes=probes)
    with_probes = dataclasses.replace(unsigned, digest=compute_digest(unsigned))
    assert with_probes.digest != bundle.digest
    files = bundle_files.format_bundle(with_probes)
    assert json.loads(files["bundle.json"])["probes"] == [{"tcp": "10.1.1.1:22"}, {"command": ["ceph", "-s"]}]
    assert read_bundle(files) == with_probes
    for old, new in (('"ceph"', '"reboot"'), ('"tcp"', '"dns"'), ('"tcp"', '"ping"')):
        with pytest.raises(bundle_files.BundleError):
            read_bundle({**files, "bundle.json": files["bundle.json"].replace(old, new)})


def test_settings_of_profiles_are_in_the_index_and_unknown_ones_are_refused(bundle: Bundle) -> None:
    def files_with(settings: Any) -> tuple[Bundle, dict[str, str]]:
        unsigned = dataclasses.replace(bundle, profile_settings=settings, stated_macs=("eth0",))
        signed = dataclasses.replace(unsigned, digest=compute_digest(unsigned))
        return signed, bundle_files.format_bundle(signed)

    signed, files = files_with({"eth0": {"bridge.vlan-filtering": True}})
    assert read_bundle(files) == signed
    for setting, value in (("bridge.vlan-filtering", "yes"), ("bridge.of-a-later-kvmnet", True)):
        with pytest.raises(bundle_files.BundleError) as error:
            read_bundle(files_with({"eth0": {setting: value}})[1])
        assert error.value.message == (
            f"this version of kvmnet cannot set {setting} of eth0 to {value!r}: render the bundle again"
        )
