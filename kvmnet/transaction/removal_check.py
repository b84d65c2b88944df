"""Compares the host with the one before kvmnet, at the end of a removal.

What kvmnet has changed is compared with the original, everything else with the snapshot that was taken just before the
removal. Of the original only what its connection profiles state is required: an address that somebody had added by
hand, or that keepalived had at that time, no profile brings back. It is listed instead.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kvmnet.rescue import comparison, difference_text, whole_host
from kvmnet.system import firewalld, links, networkmanager
from kvmnet.system.links import Kernel
from kvmnet.system.types import Json
from kvmnet.transaction.step import Step


@dataclass(frozen=True)
class RemovalCheck:
    """What a removal is compared with: the `original`, the snapshot `before` the removal, the `guests` of that snapshot
    (action_context.read_guest_ports), and the `step` of the comparison."""

    original: Json
    before: Json
    guests: Json
    step: Step

    def find_differences(self) -> list[str]:
        """Where the host is not as it must be after the removal, a sentence each. Raises HostError and OSError."""
        kernel = links.read_kernel(self.before.get("virtual", ()))
        current = links.read_links(kernel.links)
        names = self.original["links"]
        return [
            *comparison.find_file_differences(self.original),
            *(f"file {path}: kvmnet created it, and it still exists" for path in self._find_leftovers()),
            *difference_text.compare_links(names, {name: current[name] for name in names if name in current}),
            *(
                f"interface {name} still exists"
                for name in self.step.get("removed", ())
                if self._is_left(name, current)
            ),
            *self._compare_addresses(kernel),
            *self._compare_loopback(kernel),
            *self._compare_zones(),
            *self._compare_rules(),
            *whole_host.compare_own_ports({"names": [], **self.original}, kernel),
            *comparison.find_guest_differences(self.guests_to_keep(kernel), kernel.links),
            *self._compare_dependents(kernel),
        ]

    def guests_to_keep(self, kernel: Kernel) -> Json:
        """The guests' ports, in the format of a snapshot, without those whose bridge is removed. A NIC may have the
        bridge's name now; a bridge from before kvmnet has its ports again."""
        bridges = {r["ifname"] for r in kernel.links if r.get("linkinfo", {}).get("info_kind") == "bridge"}
        removed = {*self.step.get("removed", ())} - bridges
        guests = self.guests.get("guests", {})
        return {"guests": {name: port for name, port in guests.items() if port["of"] not in removed}}

    def find_unrestored(self) -> list[str]:
        """What the original had and no connection profile states, so that it cannot be restored."""
        addresses, virtual = links.read_addresses(), self.before.get("virtual", ())
        host = self.original.get("host", {})
        return [
            f"{name} had the address {address} before kvmnet, which no connection profile states"
            for name, saved in host.get("addresses", {}).items()
            for address in saved
            if address.partition("/")[0] not in virtual
            and address not in addresses.get(name, [])
            and not self._is_stated(name, [address.partition("/")[0]])
        ]

    def _find_leftovers(self) -> list[str]:
        new = whole_host.find_new_keyfiles(self.before) if "host" in self.before else {}
        restored = {record["path"] for record in self.original["files"]}
        on_disk = networkmanager.PROFILE_FOLDERS[0]
        return [
            *networkmanager.find_keyfiles(self.step["gone"]),
            *(path for path in new if path.startswith(on_disk) and path not in restored),
        ]

    def _is_left(self, name: str, current: Json) -> bool:
        """Whether an interface that kvmnet created still exists; one of the original may have its name now."""
        return name in current and name not in self.original["links"] and bool(current[name]["kind"])

    def _compare_dependents(self, kernel: Kernel) -> list[str]:
        if "host" not in self.before:
            return []
        lowered = whole_host.find_lowered_mtus(self.before, kernel)
        return whole_host.compare_dependents(self.before, kernel, self.step.get("removed", ()), lowered)

    def find_lowered_mtus(self) -> list[str]:
        """The interfaces of other tools whose MTU is lower, because that of what they are based on is lower now,
        a sentence each. Raises HostError."""
        if "host" not in self.before:
            return []
        saved, kernel = self.before["host"]["links"], links.read_kernel()
        return [
            f"the MTU of {name} is {mtu}, not {saved[name]['mtu']}: the interface below it has no greater one"
            for name, mtu in whole_host.find_lowered_mtus(self.before, kernel).items()
        ]

    def _compare_addresses(self, kernel: Kernel) -> list[str]:
        current = links.read_addresses(kernel.addresses)
        stated = {
            name: [a for a in saved if self._is_stated(name, [a.partition("/")[0]])]
            for name, saved in self.original["addresses"].items()
        }
        routes = [
            route
            for route in self.original.get("routes", [])
            if self._is_stated(route["dev"], [v for v in (_network(route), route["via"]) if v]) and route["via"]
        ]
        shown = {name: [a for a in current.get(name, []) if a in saved] for name, saved in stated.items()}
        wanted = _without_rank(routes)
        return [
            *difference_text.compare_addresses(stated, shown),
            *difference_text.compare_routes(wanted, [r for r in _without_rank(kernel.routes) if r in wanted]),
        ]

    def _compare_loopback(self, kernel: Kernel) -> list[str]:
        current = links.read_addresses(kernel.addresses).get(links.LOOPBACK, [])
        released = self.step.get("released", ())
        return [f"{links.LOOPBACK} still has the address {address}" for address in released if address in current]

    def _compare_zones(self) -> list[str]:
        zones = {n: zone for n, zone in self.original["zones"].items() if zone and self._is_stated(n, [f"zone={zone}"])}
        if not zones or not firewalld.is_running():
            return []
        current = firewalld.read_zones()
        return difference_text.compare_zones(zones, {name: current.get(name) for name in zones})

    def _compare_rules(self) -> list[str]:
        return [line for rule, line in self._find_rule_differences() if self._is_own_rule(rule)]

    def find_other_rules(self) -> list[str]:
        """The routing rules that are not as before kvmnet and that belong to another tool, a sentence each. An earlier
        kvmnet recorded them too. Raises HostError."""
        return [line for rule, line in self._find_rule_differences() if not self._is_own_rule(rule)]

    def _find_rule_differences(self) -> list[tuple[str, str]]:
        rules = self.step.get("rules", {})
        if not any(rules.values()):
            return []
        current = [[family, rule] for family, found in links.read_rules().items() for rule in found]
        return [
            *((rule[1], f"the routing rule {rule[1]} is missing") for rule in rules["missing"] if rule not in current),
            *((rule[1], f"the routing rule {rule[1]} is left") for rule in rules["new"] if rule in current),
        ]

    def _is_own_rule(self, rule: str) -> bool:
        return any(whole_host.is_own_rule(rule, snapshot) for snapshot in (self.original, self.before))

    def _is_stated(self, device: str, words: Iterable[str]) -> bool:
        """Whether the original connection profile of a device contains all these words."""
        uuids = [profile["uuid"] for profile in self.original["profiles"] if profile["device"] == device]
        texts = [base64.b64decode(record.get("data", "")) for record in self.original["files"]]
        patterns = [rb"(?<![\w.:])" + re.escape(word.encode()) + rb"(?![\w.:])" for word in words]
        return any(
            networkmanager.has_uuid(text, uuids) and all(re.search(pattern, text) for pattern in patterns)
            for text in texts
        )


def _network(route: Json) -> str:
    """The destination of a route as a profile states it; empty for a default route, which may be a gateway there."""
    return "" if route["to"] == "default" else str(route["to"])


def _without_rank(routes: Iterable[Json]) -> list[Json]:
    return [{key: value for key, value in route.items() if key not in ("rank", "source")} for route in routes]
