"""The host before kvmnet, collected from the snapshots of the transactions that first took each part of it over."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import LOOPBACK, NM_ETHERNET, State
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.system import files, networkmanager, operations
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json
from kvmnet.transaction.history import EndedTransaction, read_history

#: The keys of a snapshot that hold NetworkManager's global name servers.
_DNS_KEYS = ("global dns", "intern")
#: The key of a snapshot that holds the macvtaps of guests; an older kvmnet did not record them.
_MACVTAP_KEYS = ("macvtaps",)
HOSTNAME_FILE = "/etc/hostname"


@dataclass(frozen=True)
class OldNic:
    """A NIC before kvmnet: its permanent MAC address, kernel name, alternative names, and the UUID of the connection
    profile that was active on it (None: none was), with its keyfile."""

    mac: str
    name: str
    altnames: tuple[str, ...]
    profile: Optional[str]
    keyfile: str = ""


@dataclass(frozen=True)
class Original:
    """The host before kvmnet: its NICs, the profile (UUID) that was active on each device, and a snapshot of them in
    the format of `rescue.snapshot`. `seeded` are the profiles (UUIDs) that kvmnet created for NICs that had none.
    `since` is the date of the snapshot that each file (path) is from. `replaced` has the bridge that has replaced each
    bridge from before kvmnet. `rules` are the routing rules, each with its family, that kvmnet's transactions have
    removed (`missing`) and added (`new`). `leftovers` are keyfiles that kvmnet or nmstate has created beside the
    profiles of kvmnet's interfaces."""

    nics: tuple[OldNic, ...]
    active: Mapping[str, str]
    snapshot: Json
    seeded: tuple[str, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, list[list[str]]] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()

    def to_state(self) -> State:
        """The addresses, default routes and name servers as an nmstate state, for the choice of probes."""
        addresses = [a.partition("/") for on_link in self.snapshot["addresses"].values() for a in on_link]
        gateways = [r for r in self.snapshot["routes"] if r["to"] == "default" and r["via"]]
        servers = [s for found in self.snapshot["dns"].values() for s in found.get("nameservers", [])]
        return {
            "interfaces": [{"ipv4": {"address": [{"ip": ip, "prefix-length": int(p)} for ip, _, p in addresses]}}],
            "routes": {
                "config": [
                    {
                        "destination": "::/0" if route["family"] == "6" else "0.0.0.0/0",
                        "next-hop-address": route["via"],
                        "next-hop-interface": route["dev"],
                    }
                    for route in gateways
                ]
            },
            "dns-resolver": {"config": {"server": list(dict.fromkeys(servers))}},
        }

    def without_virtual(self, virtual: Collection[str]) -> Original:
        """The same host without these virtual addresses (without prefix): the snapshot may be older than the service
        that claims them."""
        addresses = {
            name: [address for address in on_link if address.partition("/")[0] not in virtual]
            for name, on_link in self.snapshot["addresses"].items()
        }
        return dataclasses.replace(self, snapshot={**self.snapshot, "addresses": addresses, "virtual": list(virtual)})

    @property
    def hostname(self) -> Optional[str]:
        """The static hostname from before kvmnet, empty when there was none; None when kvmnet has never set one."""
        record = next((r for r in self.snapshot["files"] if r["path"] == HOSTNAME_FILE), None)
        return base64.b64decode(record.get("data", "")).decode(errors="replace").strip() if record else None


def find_original(state_dir: Path) -> Original:
    """The host before kvmnet, from the kept transactions since the last removal. Raises Refused when kvmnet manages no
    NIC of this host."""
    collection = _Collection()
    for transaction in read_history(state_dir):
        if not transaction.kept:
            continue
        folder = state_dir / "history" / transaction.id
        data = files.read_json(folder / "transaction.json")
        if data.get("removes"):
            collection = _Collection(created_uuids=collection.created_uuids)
            continue
        if snapshot := files.read_json(folder / "snapshot.json"):  # `kvmnet purge` deletes those that nothing needs
            collection.add(transaction, data, snapshot, state_dir / "applied")
        kept = next((event for event in Journal(folder).events() if event["event"] == "kept"), {})
        collection.add_traces(kept, transaction.at)
    if not collection.nics:
        raise Refused("kvmnet manages no NIC of this host", "there is nothing to remove", "KVN562")
    return collection.to_original()


@dataclass
class _Collection:
    """The state of the host before kvmnet, collected from the snapshots of its transactions. Of each part, the first
    snapshot counts: the later ones contain what kvmnet made of it.

    `devices` has the profile (UUID) that was active on each device to be restored (several may share one), `uuids` the
    profiles that are not
    kvmnet's, `keyfiles` their files as NetworkManager named them (a keyfile need not contain its UUID), and
    `created_uuids` the profiles that kvmnet has created."""

    nics: dict[str, OldNic] = field(default_factory=dict)
    records: dict[str, Json] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)
    links: Json = field(default_factory=dict)
    addresses: Json = field(default_factory=dict)
    zones: Json = field(default_factory=dict)
    dns: Json = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    uuids: set[str] = field(default_factory=set)
    keyfiles: set[str] = field(default_factory=set)
    created_uuids: set[str] = field(default_factory=set)
    macvtaps: Json = field(default_factory=dict)
    seeded: set[str] = field(default_factory=set)
    replaced: dict[str, str] = field(default_factory=dict)
    routes: list[Json] = field(default_factory=list)
    servers: Json = field(default_factory=dict)
    static_addresses: Json = field(default_factory=dict)
    ports: Json = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)
    missing_rules: list[list[str]] = field(default_factory=list)
    new_rules: list[list[str]] = field(default_factory=list)

    def add(self, transaction: EndedTransaction, data: Json, snapshot: Json, applied_folder: Path) -> None:
        """Add what this kept transaction was the first to see. `data` is its transaction.json."""
        self.dns = self.dns or {key: snapshot[key] for key in _DNS_KEYS if key in snapshot}
        self.macvtaps = self.macvtaps or {key: snapshot[key] for key in _MACVTAP_KEYS if key in snapshot}
        self._add_files(snapshot, transaction.at, applied_folder)
        self._add_created_profiles(transaction.host, data, snapshot)
        self._add_replaced(data.get("replaced", {}))
        adopted_macs = data.get("adopts", ())
        # what is not there any more has been removed since, by kvmnet or by its owner
        existing = snapshot.get("host", {}).get("keyfiles", self.traces)
        self.traces = {path: uuid for path, uuid in self.traces.items() if path in existing}
        self._add_profiles(snapshot, adopted_macs)
        self._add_nics(snapshot, adopted_macs)
        if LOOPBACK in snapshot["links"] and LOOPBACK not in self.links:
            self.links[LOOPBACK] = snapshot["links"][LOOPBACK]
            self._add_settings(LOOPBACK, snapshot)

    def _add_replaced(self, replaced: Mapping[str, str]) -> None:
        """Add bridges that were replaced (old -> new). One that replaced another one may be replaced itself."""
        self.replaced = {old: replaced.get(new, new) for old, new in self.replaced.items()}
        followed = set(self.replaced.values())
        self.replaced.update({old: new for old, new in replaced.items() if new not in followed})

    def add_traces(self, kept: Json, begun: float) -> None:
        """Add what the `kept` event of a transaction lists (whole_host.find_traces)."""
        self.traces.update(kept.get("keyfiles", {}))
        for path in self.traces:
            self.since.setdefault(path, _date(begun))
        for kind, same, opposite in (
            ("missing", self.missing_rules, self.new_rules),
            ("new", self.new_rules, self.missing_rules),
        ):
            for rule in kept.get("rules", {}).get(kind, []):
                if rule in opposite:  # back as it was before an earlier transaction
                    opposite.remove(rule)
                else:
                    same.append(rule)

    def _add_files(self, snapshot: Json, begun: float, applied_folder: Path) -> None:
        for record in snapshot["files"]:
            if not record["path"].startswith(str(applied_folder)):
                self.records.setdefault(record["path"], record)
                self.since.setdefault(record["path"], _date(begun))

    def _add_created_profiles(self, host: str, data: Json, snapshot: Json) -> None:
        self.created_uuids |= {profile_uuid(host, name) for name in snapshot.get("names", ())}
        seed_steps = [step for step in data.get("steps", ()) if step["op"] == operations.SEED.name]
        seeds = [seed for step in seed_steps for seed in step["profiles"]]
        self.created_uuids |= {seed["uuid"] for seed in seeds}
        self.seeded |= {seed["uuid"] for seed in seeds if seed["type"] == NM_ETHERNET}

    def _add_profiles(self, snapshot: Json, adopted_macs: Collection[str]) -> None:
        """Add the profiles that are not kvmnet's, active or not: also of what was adopted in this transaction."""
        known_uuids = frozenset(self.uuids)
        for profile in snapshot["profiles"]:
            uuid, device = profile["uuid"], profile["device"]
            link = snapshot["links"].get(device, {})
            # a known profile that also serves a NIC that is adopted later is restored there too
            if uuid in self.created_uuids or (uuid in known_uuids and not link.get("mac")):
                continue
            self.uuids.add(uuid)
            self.keyfiles.add(profile["file"])
            if device and device not in self.devices and self._is_restorable(device, snapshot, adopted_macs):
                self.devices[device] = uuid
                if link and device not in self.links:  # virtual devices; a NIC's link is added with the NIC
                    self.links[device] = link
                    self._add_settings(device, snapshot)

    def _is_restorable(self, device: str, snapshot: Json, adopted_macs: Collection[str]) -> bool:
        """Whether a device that this snapshot is the first to show with a profile that is not kvmnet's can be restored:
        a NIC that this transaction adopted (for others an earlier snapshot counts), or a virtual device that is neither
        a port of an interface that kvmnet created nor based on one or on a NIC that kvmnet renamed."""
        link = snapshot["links"].get(device)
        if link is None:  # a device that the transaction does not touch, whose profile also serves one that it does
            return False
        if link.get("mac"):
            return link["mac"] in adopted_macs
        active_profiles = {profile["device"]: profile["uuid"] for profile in snapshot["profiles"]}
        for name in filter(None, (link.get("over"), link.get("master"))):
            nic = self.nics.get(snapshot["links"].get(name, {}).get("mac"))
            if active_profiles.get(name) in self.created_uuids or (nic is not None and nic.name != name):
                return False
        return True

    def _add_nics(self, snapshot: Json, adopted_macs: Collection[str]) -> None:
        for mac in adopted_macs:
            link = next((link for link in snapshot["links"].values() if link["mac"] == mac), None)
            if link is None:
                continue
            name = link["name"]
            active: Json = next((p for p in snapshot["profiles"] if p["device"] == name), {})
            self.nics[mac] = OldNic(mac, name, tuple(link["altnames"]), active.get("uuid"), active.get("file", ""))
            self.links[name] = link
            self._add_settings(name, snapshot)
            self.zones[name] = (snapshot["zones"] or {}).get(name)

    def _add_settings(self, name: str, snapshot: Json) -> None:
        """Add what a restored interface had: addresses, routes, name servers, attributes as a port."""
        host = snapshot.get("host", {})
        self.addresses[name] = snapshot["addresses"].get(name, [])
        self.routes += [route for route in snapshot.get("routes", ()) if route["dev"] == name]
        self.servers.update({n: found for n, found in snapshot.get("dns", {}).items() if n == name})
        self.static_addresses[name] = host.get("addresses", {}).get(name, [])
        self.ports.update({n: port for n, port in host.get("ports", {}).items() if n == name})

    def to_original(self) -> Original:
        """The host before kvmnet. Keyfiles of profiles that kvmnet has created are left out."""
        uuids = sorted(self.uuids)
        leftovers = self._find_leftovers()
        records = [
            record
            for path, record in self.records.items()
            if path in self.keyfiles
            or _is_keyfile_of(record, uuids)
            or not path.startswith(networkmanager.PROFILE_FOLDERS)
        ]
        records += [{"path": path, "absent": True} for path in leftovers]
        return Original(
            tuple(self.nics[mac] for mac in sorted(self.nics)),
            dict(self.devices),
            {
                "files": records,
                "links": self.links,
                "addresses": self.addresses,
                "zones": self.zones,
                "uuids": uuids,
                "profiles": [{"uuid": uuid, "device": device} for device, uuid in self.devices.items()],
                "names": sorted(self.links),
                "routes": self.routes,
                "dns": self.servers,
                "host": {"addresses": self.static_addresses, "ports": self.ports},
                **self.dns,
                **self.macvtaps,
            },
            tuple(sorted(self.seeded - self.uuids)),
            self.since,
            {old: new for old, new in self.replaced.items() if old in self.links and old != new},
            {"missing": self.missing_rules, "new": self.new_rules},
            tuple(leftovers),
        )

    def _find_leftovers(self) -> list[str]:
        """The keyfiles that transactions have left, that still have the same UUID and that no other step of a removal
        removes or restores."""
        leftovers = []
        for path, uuid in sorted(self.traces.items()):
            with contextlib.suppress(OSError):
                is_same = bool(uuid) and networkmanager.find_uuid(Path(path).read_bytes()) == uuid
                if is_same and path not in self.records and uuid not in {*self.created_uuids, *self.seeded}:
                    leftovers.append(path)
        return leftovers


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _is_keyfile_of(record: Json, uuids: list[str]) -> bool:
    return networkmanager.has_uuid(base64.b64decode(record.get("data", "")), uuids)
