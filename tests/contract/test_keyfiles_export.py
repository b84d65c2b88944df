"""The keyfiles of `kvmnet export keyfiles`, beside those that nmstate generates from the same state.

The NetworkManager of a generation reads both (`nmcli --offline` in its root) and writes what it has read, without
defaults. All settings must be the same, except for what nmstate has no key for; that is compared with the bundle.
"""

from __future__ import annotations

import configparser
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.definition.document import Source
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.exporters import EXPORTERS
from kvmnet.exporters._keyfiles.unknown import find_unknown
from tests.contract.test_keyfiles import EXAMPLES, GOLDEN, keyfiles_of, read_by_network_manager
from tests.generate import cluster
from tests.machines import nmstate_builds
from tests.mutate import written

pytestmark = pytest.mark.make_test("trixie")

Keyfile = dict[str, dict[str, str]]

#: What differs on purpose, or has no effect: who is bound how; kvmnet's own settings; the timeout of requests that a
#: profile does not make.
BESIDE = {
    "connection": {"uuid", "timestamp", "interface-name", "zone"},
    "ethernet": {"mac-address", "cloned-mac-address"},
    "bridge": {"vlan-filtering"},
}
#: Belongs to the host and may be in any of its profiles.
OF_HOST = ("dns", "dns-search", "dns-priority", "routing-rule")


def bundles() -> Iterator[tuple[str, Bundle]]:
    """Yield what keyfiles can express of the golden pairs, which have all examples, and of generated clusters."""
    for name, bundle in golden_and_generated():
        if not any(list(find_unknown(interface)) for interface in interfaces_of(bundle.state)):
            yield name, bundle


def golden_and_generated() -> Iterator[tuple[str, Bundle]]:
    for folder in sorted(GOLDEN.iterdir()):
        for bundle in pipeline.load(str(next(folder.glob("cluster.*")))).bundles():
            yield f"{folder.name}.{bundle.host}", bundle
    for number in range(EXAMPLES):
        definition = pipeline.check([Source("f", written(cluster(random.Random(number), with_nmstate=False))[0])])
        for bundle in definition.bundles():
            yield f"{number}.{bundle.host}", bundle


def write_exported(bundle: Bundle, folder: Path) -> None:
    folder.mkdir()
    for path, file in EXPORTERS.find("keyfiles").export([bundle]).items():
        if path.endswith(".nmconnection"):
            assert file.mode == 0o600
            (folder / Path(path).name).write_text(file.text, encoding="utf-8")


def read(folder: Path) -> dict[str, Keyfile]:
    """Return what NetworkManager read from the keyfiles of a folder, by the profile's ID. Fails if it refused one."""
    refused = {file.name: file.read_text() for file in folder.glob("*.refused") if file.stat().st_size}
    assert not refused, f"{folder.name}: {refused}"
    found = {}
    for file in folder.glob("*.read"):
        parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(file.read_text(encoding="utf-8"))
        keyfile = {section: dict(parser[section]) for section in parser.sections()}
        found[keyfile["connection"]["id"]] = keyfile
    return found


def settings(keyfile: Keyfile) -> set[tuple[str, str, str]]:
    """Return the settings of a profile that must be the same on both sides. The order of routes has no meaning."""
    found = set()
    for section, keys in keyfile.items():
        asks = keys.get("method") in ("auto", "dhcp")
        for key, value in keys.items():
            plain = key.rstrip("0123456789")
            beside = key in BESIDE.get(section, ()) or (key == "dhcp-timeout" and not asks)
            if plain == "route":
                found.add((section, plain, f"{value} {keys[f'{key}_options']}"))
            elif not beside and plain not in OF_HOST and not key.endswith("_options"):
                found.add((section, key, value))
    return found


def of_host(keyfiles: dict[str, Keyfile]) -> list[tuple[str, str, str]]:
    return sorted(
        (section, key.rstrip("0123456789"), value)
        for keyfile in keyfiles.values()
        for section in ("ipv4", "ipv6")
        for key, value in keyfile.get(section, {}).items()
        if key.rstrip("0123456789") in OF_HOST
    )


def own(bundle: Bundle, name: str, keyfile: Keyfile, generated: Keyfile) -> Iterator[str]:
    """Yield how the settings that nmstate has no key for differ from the bundle."""
    stated = bundle.profile_settings.get(name, {})
    if keyfile["connection"].get("zone", "") != stated.get("connection.zone", ""):
        yield f"zone is {keyfile['connection'].get('zone')}"
    filtering = keyfile.get("bridge", {}).get("vlan-filtering", "false") == "true"
    derived = generated.get("bridge", {}).get("vlan-filtering", "false") == "true"
    if filtering != stated.get("bridge.vlan-filtering", derived):
        yield f"VLAN filtering is {filtering}"
    nic = next((n for n in bundle.nics if n.name == name and n.link_file), None)
    bound = keyfile.get("ethernet", {}).get("mac-address", "").lower()
    if bound != (nic.mac if nic is not None and keyfile["connection"]["type"] == "ethernet" else ""):
        yield f"it is bound to MAC {bound or 'none'}"
    if bool(bound) == ("interface-name" in keyfile["connection"]):
        yield "it is bound to both or to nothing"
    stated_mac = generated.get("ethernet", {}).get("cloned-mac-address")
    if stated_mac not in (None, keyfile.get("ethernet", {}).get("cloned-mac-address")):
        yield f"its MAC is not {stated_mac}"


def differences(bundle: Bundle, exported: dict[str, Keyfile], generated: dict[str, Keyfile]) -> Iterator[str]:
    assert exported.keys() == generated.keys(), (bundle.host, exported.keys(), generated.keys())
    for name, keyfile in exported.items():
        ours, theirs = settings(keyfile), settings(generated[name])
        yield from (f"{name} lacks {row}" for row in sorted(theirs - ours))
        yield from (f"{name} has also {row}" for row in sorted(ours - theirs))
        yield from (f"{name}: {text}" for text in own(bundle, name, keyfile, generated[name]))
    if of_host(exported) != of_host(generated):
        yield f"name servers and rules: {of_host(exported)}, not {of_host(generated)}"


def compare(generation: str, program: Path, cases: list[tuple[str, Bundle]], folder: Path) -> list[str]:
    """Return how the exported keyfiles of all cases differ from what nmstate generates."""
    for name, bundle in cases:
        write_exported(bundle, folder / f"{name}.exported")
        keyfiles_of(program, bundle.state, folder / f"{name}.generated")
    read_by_network_manager(generation, folder)
    return [
        f"{name}: {text}"
        for name, bundle in cases
        for text in differences(bundle, read(folder / f"{name}.exported"), read(folder / f"{name}.generated"))
    ]


def test_exported_keyfiles_have_what_nmstate_writes(lab: None, generation: str, tmp_path: Path) -> None:
    """As the current version writes it: older ones name controllers by their UUIDs and know fewer keys."""
    cases = list(bundles())
    assert {name for name, _ in cases} >= {"example-bonded.hv1", "example-rocks.vm-container-0-0"}
    program = nmstate_builds.offline(nmstate_builds.NMSTATE)
    assert compare(generation, program, cases, tmp_path) == []


#: A golden host, a text in its exported keyfiles, and the text that replaces it.
CHANGES = [
    ("example-bonded", "hv1", "mtu=1500", "mtu=1400"),
    ("example-bonded", "hv1", "lacp_rate=fast", "lacp_rate=slow"),
    ("example-bonded", "hv1", "master=br-bond0", "master=br-other"),
    ("example-bonded", "hv1", "address1=10.1.1.1/16", "address1=10.1.1.1/17"),
    ("example-bonded", "hv1", "route1=0.0.0.0/0,10.1.0.1,100", "route1=0.0.0.0/0,10.1.0.1,101"),
    ("example-bonded", "hv1", "dns=10.1.0.2;", "dns=10.1.0.3;"),
    ("example-bonded", "hv1", "parent=bond0.100", "parent=bond0.5"),
    ("example-bonded", "hv1", "stp=false", "stp=true"),
    ("example-rocks", "vm-container-0-0", "mac-address=00:14:4F:80:DE:00", "mac-address=00:14:4F:80:DE:77"),
    ("zones-and-descriptions", None, "zone=", "zone=other"),
    ("routing-rules", "first", "priority ", "priority 9"),
    ("10b-trunk-vlan-aware", "only-tags", " pvid untagged", ""),
]


def test_a_changed_keyfile_is_a_difference(lab: None, generation: str, tmp_path: Path) -> None:
    unseen, cases = [], []
    for number, (pair, host, old, new) in enumerate(CHANGES):
        bundle = next(
            b
            for b in pipeline.load(str(next((GOLDEN / pair).glob("cluster.*")))).bundles()
            if b.host == host or host is None
        )
        folder = tmp_path / f"{number}.exported"
        write_exported(bundle, folder)
        file = next(f for f in sorted(folder.iterdir()) if old in f.read_text(encoding="utf-8"))
        file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
        keyfiles_of(nmstate_builds.offline(nmstate_builds.NMSTATE), bundle.state, tmp_path / f"{number}.generated")
        cases.append(bundle)
    read_by_network_manager(generation, tmp_path)
    for number, bundle in enumerate(cases):
        exported, generated = read(tmp_path / f"{number}.exported"), read(tmp_path / f"{number}.generated")
        if not list(differences(bundle, exported, generated)):
            unseen.append(CHANGES[number])
    assert unseen == []
