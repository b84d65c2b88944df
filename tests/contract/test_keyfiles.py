"""Every state that kvmnet renders, as nmstate and NetworkManager read it, without a lab machine.

The real `nmstatectl gc` turns the state into keyfiles. The NetworkManager of a generation reads them (`nmcli --offline`
in its root) and writes what it has read. That is compared with the host view (tests/keyfiles.py).
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from kvmnet import pipeline
from kvmnet.core.boot.boot_files import ETC_FOLDER, BootFiles
from kvmnet.core.boot.stored_profile import read_stored_profile
from kvmnet.core.definition.document import Source
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.planning.sent_state import make_sent_state
from kvmnet.core.planning.stored_profiles import find_stored_differences
from kvmnet.core.views.host_view import HostView
from tests import keyfiles
from tests.generate import cluster
from tests.machines import local_programs, nmstate_builds, roots
from tests.mutate import written

pytestmark = pytest.mark.make_test("trixie")

GOLDEN = Path(__file__).parents[1] / "golden" / "good"
EXAMPLES = 30
#: Options that the NetworkManager of a generation ignores silently; see the schema's description of the key.
UNKNOWN = {"bookworm": {"arp_missed_max"}, "trixie": set[str]()}


class Case(NamedTuple):
    """A state, the view of its host, and whether the state includes that of its guests."""

    name: str
    view: HostView
    with_guests: bool
    state: dict[str, Any]


def golden() -> Iterator[Case]:
    """Yield the committed files of the golden pairs, read with PyYAML."""
    for folder in sorted(GOLDEN.iterdir()):
        path = next(folder.glob("cluster.*"))
        for host, view in pipeline.load(str(path)).views.items():
            own = folder / "expected" / host
            state = yaml.safe_load((own / "nmstate.yml").read_text(encoding="utf-8"))
            yield Case(f"{folder.name}.{host}", view, False, state)
            if (own / "guests.yml").exists():
                guests = yaml.safe_load((own / "guests.yml").read_text(encoding="utf-8"))
                both = {**state, "interfaces": state["interfaces"] + guests["interfaces"]}
                yield Case(f"{folder.name}.{host}.guests", view, True, both)


def generated() -> Iterator[Case]:
    """Yield generated hosts, without what is passed through to nmstate: older versions write random values of it in
    other notations. The golden pairs have it."""
    for number in range(EXAMPLES):
        definition = pipeline.check([Source("f", written(cluster(random.Random(number), with_nmstate=False))[0])])
        assert definition.ok
        for bundle in definition.bundles():
            view = definition.views[bundle.host]
            yield Case(f"{number}.{bundle.host}", view, False, bundle.state)
            if bundle.guests:
                both = {**bundle.state, "interfaces": bundle.state["interfaces"] + bundle.guests["interfaces"]}
                yield Case(f"{number}.{bundle.host}.guests", view, True, both)


def keyfiles_of(program: Path, state: dict[str, Any], folder: Path) -> None:
    """Write the keyfiles that nmstate generates from a state to a folder. Fails if nmstate refuses the state."""
    folder.mkdir()
    file = folder / "state.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    done = subprocess.run([program, "-q", "gc", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder.name}: {done.stdout}{done.stderr}"
    for name, text in yaml.safe_load(done.stdout)["NetworkManager"]:
        (folder / name).write_text(text, encoding="utf-8")


def read_by_network_manager(generation: str, folder: Path) -> None:
    """Write next to each keyfile what NetworkManager reads, or why it refuses the keyfile."""
    script = """
        for file in /mnt/*/*.nmconnection; do
          nmcli --offline connection modify connection.lldp -1 <"$file" >"$file.read" 2>"$file.refused" || :
        done
    """
    local_programs.in_root(roots.root(generation), script, (folder, "/mnt"))


def wanted(case: Case, generation: str) -> keyfiles.Whole:
    want = keyfiles.wanted(case.view, case.with_guests)
    for facts in want.interfaces.values():
        for option in UNKNOWN[generation] & (facts["bond"] or {}).keys():
            del facts["bond"][option]
    return want


def differences(cases: list[Case], program: Path, generation: str, folder: Path) -> list[str]:
    """Return how what NetworkManager reads differs from the views."""
    for case in cases:
        keyfiles_of(program, case.state, folder / case.name)
    read_by_network_manager(generation, folder)
    wrong = []
    for case in cases:
        own = folder / case.name
        refused = [f"{case.name}: {file.read_text()}" for file in sorted(own.glob("*.refused")) if file.stat().st_size]
        if refused:
            wrong += refused
            continue
        have = keyfiles.read(file.read_text(encoding="utf-8") for file in sorted(own.glob("*.read")))
        wrong += [f"{case.name}: {words}" for words in keyfiles.differences(wanted(case, generation), have)]
    return wrong


def test_every_golden_state_becomes_the_keyfiles_of_its_view(
    lab: None, generation: str, version: str, tmp_path: Path
) -> None:
    cases = list(golden())
    assert len(cases) > len(list(GOLDEN.iterdir()))
    assert differences(cases, nmstate_builds.offline(version), generation, tmp_path) == []


def test_generated_states_become_the_keyfiles_of_their_views(
    lab: None, generation: str, version: str, tmp_path: Path
) -> None:
    assert differences(list(generated()), nmstate_builds.offline(version), generation, tmp_path) == []


FILTERING = """kvmnet: 1
cluster: filtering
profile: plain
networks: {lan: {subnets: [10.1.0.0/16]}}
hosts:
  host:
    kvm: true
    interfaces: {eth0: {network: lan, addresses: [10.1.0.2], bridge: {name: br0, vlan_filtering: true}}}
"""


def test_nmstate_leaves_vlan_filtering_alone_if_it_is_not_given_the_ports(
    lab: None, version: str, tmp_path: Path
) -> None:
    """That is what planning/sent_state relies on: the profile has it, and the port names its bridge."""
    bundle = next(iter(pipeline.check([Source("f", FILTERING)]).bundles()))
    live = Live("host", {"interfaces": []}, {"eth0": Link("eth0", "52:54:00:00:00:01", None)}, {})
    plan = make_plan(bundle, live)
    program, read = nmstate_builds.offline(version), dict[str, dict[str, str]]()
    for name, state in (("listed", plan.state), ("named", make_sent_state(plan, live))):
        keyfiles_of(program, state, tmp_path / name)
        read[name] = {file.stem: file.read_text(encoding="utf-8") for file in (tmp_path / name).glob("*.nmconnection")}
        uuid = next(line.partition("=")[2] for line in read[name]["br0"].splitlines() if line.startswith("uuid="))
        controller = next(line for line in read[name]["eth0"].splitlines() if line.startswith("master="))
        assert controller.partition("=")[2] in ("br0", uuid)
    assert "vlan-filtering=false" in read["listed"]["br0"].splitlines()
    assert "vlan-filtering" not in read["named"]["br0"]


def host_with(state: dict[str, Any], folder: Path, version: tuple[int, ...]) -> Live:
    """Return a host that is in this state and has stored the profiles that NetworkManager read in a folder."""
    stored = [
        read_stored_profile(f"{ETC_FOLDER}/{file.name.removesuffix('.read')}", file.read_text(), version=version)
        for file in sorted(folder.glob("*.read"))
    ]
    profiles = {
        p.interface_name: ConnectionProfile(p.uuid, p.id, p.type, p.interface_name, p.file, p.interface_name)
        for p in stored
    }
    return Live("h", state, {}, profiles, boot=BootFiles(tuple(stored)))


def test_what_nmstate_stores_is_no_drift(lab: None, generation: str, version: str, tmp_path: Path) -> None:
    """A plan compares the profiles on disk with the state: a profile that was just stored differs in nothing."""
    networkmanager = (1, 42, 4) if generation == "bookworm" else (1, 52, 1)
    drift = []
    for case in golden():
        keyfiles_of(nmstate_builds.offline(version), case.state, tmp_path / case.name)
    read_by_network_manager(generation, tmp_path)
    for case in golden():
        host = host_with(case.state, tmp_path / case.name, networkmanager)
        assert len(host.profiles) == len(case.state["interfaces"])
        for name, found in find_stored_differences(case.state, host, {}).items():
            drift += [f"{case.name} {name}: {difference.text}" for difference in found]
    assert drift == []


#: A golden state, a text in its file, and the text that replaces it.
CHANGES = [
    ("example-bonded.hv1", "mtu: 9000", "mtu: 8999"),
    ("example-bonded.hv1", "id: 100", "id: 101"),
    ("example-bonded.hv1", "base-iface: bond0.100", "base-iface: bond0.5"),
    ("example-bonded.hv1", "lacp_rate: fast", "lacp_rate: slow"),
    ("example-bonded.hv1", "miimon: 100", "updelay: 100"),
    ("example-bonded.hv1", "    - ens1f1\n", ""),
    ("example-bonded.hv1", "mode: bridge", "mode: private"),
    ("example-bonded.hv1", "52:54:00:00:00:02", "52:54:00:00:00:03"),
    ("example-bonded.hv1", "prefix-length: 24", "prefix-length: 25"),
    ("example-bonded.hv1", 'ip: "2001:db8:1::11"', 'ip: "2001:db8:1::12"'),
    ("example-bonded.hv1", "next-hop-address: 10.1.0.3", "next-hop-address: 10.1.0.4"),
    ("example-bonded.hv1", "table-id: 254", "table-id: 253"),
    ("example-bonded.hv1", "    - 10.1.0.2\n", "    - 10.1.0.3\n"),
    ("example-bonded.hv1", "    - example.org", "    - example.com"),
    ("example-bonded.hv1", "auto-gateway: false", "auto-gateway: true"),
    ("example-bonded.hv1", "dhcp-client-id: ll", "dhcp-client-id: iaid+duid"),
    ("example-bonded.hv1", "auto-route-metric: 100", "auto-route-metric: 101"),
    ("example-bonded.hv1", "    - name: bond0\n", "    - name: nowhere0\n"),
    ("example-bonded.hv1", "stp:\n        enabled: false", "stp:\n        enabled: true"),
    ("dhcp-and-autoconf.by-dhcp", "accept-all-mac-addresses: true", "accept-all-mac-addresses: false"),
    ("dhcp-and-autoconf.by-dhcp", "auto-dns: false", "auto-dns: true"),
    ("dhcp-and-autoconf.by-dhcp", "autoconf: false", "autoconf: true"),
    ("dhcp-and-autoconf.by-dhcp", 'mac-address: "00:14:4F:80:DE:00"', 'mac-address: "00:14:4F:80:DE:99"'),
    ("bridge-settings.as-the-group", "priority: 0", "priority: 1"),
    ("bridge-settings.as-the-group", "mac-ageing-time: 0", "mac-ageing-time: 1"),
    ("bridge-settings.as-the-group", "group-forward-mask: 16384", "group-forward-mask: 8"),
    ("bridge-settings.as-the-group", "multicast-snooping: false", "multicast-snooping: true"),
    ("bridges-of-several-ports.a", "    - name: eth3.7\n", ""),
    ("vlan-over-bridge.h1", "base-iface: br-eth0", "base-iface: eth0"),
    ("switches.noreport-and-inactive", "state: down", "state: up"),
]


def test_a_changed_state_is_a_difference(lab: None, generation: str, tmp_path: Path) -> None:
    right = {case.name: case for case in golden()}
    cases = []
    for number, (name, words, other) in enumerate(CHANGES):
        pair, host = name.split(".", 1)
        text = (GOLDEN / pair / "expected" / host / "nmstate.yml").read_text(encoding="utf-8")
        assert words in text, words
        state = yaml.safe_load(text.replace(words, other, 1))
        cases.append(right[name]._replace(name=str(number), state=state))
    wrong = differences(cases, nmstate_builds.offline(nmstate_builds.NMSTATE), generation, tmp_path)
    seen = {int(words.partition(":")[0]) for words in wrong}
    assert [change for number, change in enumerate(CHANGES) if number not in seen] == []
