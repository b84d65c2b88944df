"""Golden pairs, found by glob.

good/NAME: a definition (cluster.yaml or cluster.d) and what `render -o` must write, in expected/.
bad/NAME: a definition and the exact text that `validate` must print, in expected.txt.
`KVMNET_GOLDEN=write` writes what comes out instead of comparing; look at the difference before committing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kvmnet import bundle_folders, pipeline
from kvmnet.core.base import problem
from kvmnet.exporters import Files
from kvmnet.exporters.bundle_folder import EXPORTER
from tests.reading import differences

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WRITE = os.environ.get("KVMNET_GOLDEN") == "write"
GOOD = sorted(path.name for path in (HERE / "good").iterdir())
BAD = sorted(path.name for path in (HERE / "bad").iterdir())
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/cluster.yaml"))


def load_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pipeline.Definition:
    """Load the definition from within its folder, so that file names in messages are the same everywhere."""
    monkeypatch.chdir(folder)
    return pipeline.load(None)


def rendered(definition: pipeline.Definition) -> Files:
    return EXPORTER.export(definition.bundles())


@pytest.mark.guarantee("G48")
@pytest.mark.parametrize("name", GOOD)
def test_good(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HERE / "good" / name
    definition = load_in(folder, monkeypatch)
    assert problem.as_text(definition.problems, definition.sources) == ""
    expected = folder / "expected"
    if WRITE:
        shutil.rmtree(expected, ignore_errors=True)
        bundle_folders.write(expected, rendered(definition), True)
    drift = bundle_folders.compare(expected, rendered(definition), True)
    assert drift.clean, drift


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HERE / "bad" / name
    definition = load_in(folder, monkeypatch)
    text = problem.as_text(definition.problems, definition.sources)
    expected = folder / "expected.txt"
    if WRITE:
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert definition.problems


@pytest.mark.parametrize("name", GOOD)
def test_every_state_read_back_matches_its_view(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = load_in(HERE / "good" / name, monkeypatch)
    for host, view in definition.views.items():
        assert differences(view, definition.bundle(host)) == []


@pytest.mark.parametrize("name", GOOD)
def test_every_folder_reads_back_to_the_same_bundle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = load_in(HERE / "good" / name, monkeypatch)
    assert sorted(p.name for p in (HERE / "good" / name / "expected").iterdir()) == sorted(definition.hosts)
    for bundle in definition.bundles():
        assert pipeline.read_bundle_folder(HERE / "good" / name / "expected" / bundle.host) == bundle


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_golden(name: str) -> None:
    """Every example is valid and, byte for byte, one of the golden definitions."""
    example = ROOT / "examples" / name / "cluster.yaml"
    assert example.read_bytes() == (HERE / "good" / f"example-{name}" / "cluster.yaml").read_bytes()


def test_every_check_has_a_bad_pair() -> None:
    from kvmnet.core import catalogue

    told = "".join((HERE / "bad" / name / "expected.txt").read_text(encoding="utf-8") for name in BAD)
    # KVN001, files that cannot be read, is tested in tests/unit/test_definition_files.py.
    missing = [
        entry.code for entry in catalogue.definition_codes() if f" {entry.code} " not in told and entry.code != "KVN001"
    ]
    assert missing == []


@pytest.mark.guarantee("G48")
@pytest.mark.parametrize("other", ["same-by-inheritance", "same-in-a-folder", "same-with-anchors", "same-written-out"])
def test_five_ways_to_write_a_definition_give_the_same_bytes(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = rendered(load_in(HERE / "good" / "same-by-template", monkeypatch))
    assert rendered(load_in(HERE / "good" / other, monkeypatch)) == one


#: What Rocks did or did not do, and the golden pair that shows what kvmnet does.
ROCKS = {
    "kvm=true or appliance frontend": "good/kvm-is-a-switch-of-a-host-or-its-group",
    "ethN becomes pethN, port of bridge ethN": "good/a-nic-is-renamed-and-its-bridge-has-ip-netmask-and-mtu",
    "a NIC without IP gets no bridge": "good/a-nic-without-an-address-is-bridged",
    "nobridge is ignored unless another option is set": "good/bridge-false-is-honoured",
    "bonds are broken": "good/a-bond-can-be-the-bridges-port",
    "a logical VLAN at guest start; macvtap or bridge; novtap": (
        "good/a-logical-vlan-comes-with-its-guests-macvtap-or-bridge"
    ),
    "the guest silently starts without a NIC": "bad/a-guest-without-its-logical-vlan",
    "two guest NICs on one tag lose one MAC": "good/two-guest-nics-on-one-tag-keep-both-macs",
    "tags up to 4095": "bad/vlan-tags",
    "eth0.2 and vlan2 both claim peth0.2": "bad/an-explicit-and-a-logical-vlan-of-one-tag",
    "no check of MACs": "bad/macs",
    "no check of the VLAN range": "bad/vlan-tags",
    "no check of IP in subnet, of duplicates": "bad/addresses",
    "no check of the MTUs' order": "bad/mtus",
    "no check of names' length": "bad/names",
    "IPv4 only": "good/two-nics-both-families",
    "a macvtap guest cannot reach its own host": "bad/a-macvtap-guest-cannot-reach-its-own-host",
}


@pytest.mark.parametrize("row", ROCKS)
def test_every_feature_of_rocks_has_a_golden_pair(row: str) -> None:
    assert (HERE / ROCKS[row]).is_dir()
