"""Hosts, bundles and compiled steps that the tests of the transaction share."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.pipeline import load
from kvmnet.system import operations
from kvmnet.system.journal import Journal
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step
from tests.unit.core.samples import KEYFILES, before

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
#: The rescue program, which no test here runs.
PROGRAM = b"PK"


def compile_sample(zones: bool = True) -> list[Step]:
    """The steps of the example's host, whose NIC is renamed and bridged; with `zones` firewalld runs."""
    live = before()
    if zones:
        live = type(live)(**{**live.__dict__, "zones": {"eth0": "trusted"}})
    terms = Terms(120, (Probe("gateway", "10.1.1.1"),), {"/var/lib/kvmnet/applied/bundle.json": "{}"})
    return compile_steps(make_plan(BUNDLE, live), live, {("eth0", "802-3-ethernet"): ["u-1"]}, terms)


def index_of(op: str, steps: list[Step]) -> int:
    """The index of the first step of this operation."""
    return [step["op"] for step in steps].index(op)


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """A function that raises this error, whatever its arguments."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


BOND = """kvmnet: 1
cluster: bonded
profile: plain
networks:
  servers: {subnets: [10.1.0.0/16]}
  storage: {subnets: [10.5.0.0/24], vlan: 5}
  tenant: {vlan: 2, over: servers, attach: always}
hosts:
  hv:
    kvm: true
    interfaces:
      eth0: {}
      eth1: {}
      bond0: {network: servers, ports: [eth0, eth1], addresses: [10.1.255.254]}
      bond0.5: {network: storage, bridge: true}
guests:
  g: {host: hv, nics: [{network: tenant, mac: 36:77:6e:c0:00:02}]}
"""


def bond_seeds(
    folder: Path,
    zones: dict[str, str],
    *,
    addressed: str = "",
    links: tuple[Link, ...] = (),
    known: dict[tuple[str, str], list[str]] | None = None,
) -> dict[str, Step]:
    """The profiles that are prepared for a bond of two NICs, by interface. `addressed` is the NIC with an address."""
    (folder / "cluster.yaml").write_text(BOND)
    bundle = load(str(folder / "cluster.yaml")).bundle("hv")
    macs = {"eth0": "02:00:00:00:00:01", "eth1": "02:00:00:00:00:02"}
    state: dict[str, Any] = {"interfaces": [{"name": name, "type": "ethernet"} for name in macs]}
    for interface in state["interfaces"]:
        if interface["name"] == addressed:
            interface["ipv4"] = {"address": [{"ip": "10.1.255.254", "prefix-length": 16}]}
    live = Live(
        hostname="hv",
        state=state,
        links={link.name: link for link in (*(Link(name, mac, None) for name, mac in macs.items()), *links)},
        profiles={
            name: ConnectionProfile(f"u-{name}", name, "802-3-ethernet", name, f"{KEYFILES}/{name}.nmconnection", name)
            for name in (addressed,)
            if name
        },
        zones=zones,
        nmstate="2.2.62",
    )
    compiled = compile_steps(make_plan(bundle, live), live, known or {}, Terms(120))
    return {row["interface"]: row for step in compiled if step["op"] == "seed" for row in step["profiles"]}


def zones_of(seeds: dict[str, Step]) -> dict[str, str]:
    """The zones of prepared profiles by interface, without the default zone."""
    return {name: seed["zone"] for name, seed in seeds.items() if seed["zone"]}


MAC = "00:14:4f:80:de:00"
KEYFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"
LINK = "/etc/systemd/network/00-kvmnet-peth0.link"


def file(path: str, text: Optional[str]) -> dict[str, Any]:
    """A snapshot's record of a file; of a missing one without a text."""
    if text is None:
        return {"path": path, "absent": True}
    return {"path": path, "data": base64.b64encode(text.encode()).decode(), "mode": 384, "owner": [0, 0], "label": None}


def link(name: str, **properties: Any) -> dict[str, Any]:
    """A snapshot's record of the NIC."""
    return {"name": name, "mac": MAC, "altnames": ["enp1s0"], "kind": None, **properties}


def write_history(
    state: Path,
    name: str,
    *,
    kept: bool = True,
    snapshot: dict[str, Any],
    traces: dict[str, Any] | None = None,
    **transaction: Any,
) -> None:
    """Write an ended transaction into the history. `traces` are the fields of the event `kept`."""
    folder = state / "history" / name
    journal = Journal(folder)
    folder.mkdir(parents=True)
    journal.append("begin")
    if traces is not None:
        journal.append("kept", **traces)
    journal.append("end", outcome="kept" if kept else "rolled back")
    empty: dict[str, Any] = {"files": [], "links": {}, "addresses": {}, "zones": None, "profiles": []}
    for file_name, data in (("transaction.json", transaction), ("snapshot.json", {**empty, **snapshot})):
        (folder / file_name).write_text(json.dumps(data))


def live() -> Live:
    """The host as kvmnet has configured it."""
    return Live(
        hostname="h",
        state={},
        links={"peth0": Link("peth0", MAC, None), "eth0": Link("eth0", None, "bridge")},
        profiles={
            "peth0": ConnectionProfile("u-1", "peth0", "802-3-ethernet", "peth0", KEYFILE, mac=MAC),
            "eth0": ConnectionProfile(
                "u-2", "eth0", "bridge", "eth0", "/etc/NetworkManager/system-connections/b.nmconnection"
            ),
        },
        zones={"eth0": "trusted", "peth0": "trusted"},
        owned={"eth0": Owned("linux-bridge", True, "u-2"), "peth0": Owned("ethernet", False, "u-9")},
    )


def adopt_later(state: Path) -> None:
    """Write a transaction that adopts interfaces of the administrator: a VLAN that can be restored, and some that
    depend on what kvmnet has changed; and a second profile for the NIC."""
    properties: dict[str, dict[str, Any]] = {
        "bond0.7": {"over": "bond0"},
        "peth0.7": {"over": "peth0"},
        "eth0.7": {"over": "eth0"},
        "port": {"master": "eth0"},
        "peth0": {"mac": MAC},
    }
    links = {name: {"name": name, "mac": None, "kind": "vlan", **row} for name, row in properties.items()}
    bridge = {"name": "eth0", "mac": None, "kind": "bridge"}
    devices = {**{f"u-{name}": name for name in links}, "u-idle": None, "u-second": "bond0.7"}
    devices[profile_uuid("h", "eth0")] = "eth0"
    profiles = [{"uuid": uuid, "device": device, "file": "", "id": uuid} for uuid, device in devices.items()]
    write_history(
        state, "3", snapshot={"names": ["eth0"], "links": {**links, "eth0": bridge}, "profiles": profiles}, host="h"
    )


def active_profile(name: str) -> ConnectionProfile:
    """The profile that is active on an interface."""
    return ConnectionProfile(f"u-{name}", name, "x", name, f"/etc/{name}")


def assert_steps_match_the_table(steps: list[Step]) -> None:
    """Every operation and kind of undo is in kvmnet/system/operations.py, and every step that changes the host has an
    undo, of a kind that its operation may have."""
    for step in steps:
        operation = operations.OPERATIONS[step["op"]]
        allowed = {kind.name for kind in operation.undo_kinds}
        kinds = [spec["op"] for spec in step["undo"]]
        assert set(kinds) <= allowed, step["title"]
        assert bool(kinds) == bool(allowed), step["title"]
        assert {spec["op"] for spec in step.get("specs", ())} <= set(operations.UNDO_KINDS)
        assert ("seconds" in step) == operation.waits
        assert ("timeout" in step) == operation.opens_checkpoint
        assert step["limit"] > 0
