"""Pairs of generated definitions, before and after a change; `python -m tests.versions --pairs 300` compares what
`kvmnet diff` says about each host with a plan on a host that has the first definition applied.
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Optional

from kvmnet.core.assessment import assess
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.refusals import Refusal, find_refusals
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.change_text import detail_texts
from kvmnet.core.review.guest_ports import with_guests
from kvmnet.core.review.host_review import CODES, HostReview, find_effects, review_changed_host
from kvmnet.core.review.review import match_hosts
from kvmnet.core.views.host_view import GuestPortView
from kvmnet.pipeline import Definition
from tests import fuzz
from tests.generate import cluster
from tests.simulated_host import carry_out, new_host, plug_in

Data = dict[str, Any]


def pair(number: int) -> tuple[Definition, Definition]:
    """Return two valid definitions: the second is another one, or the first with some changes."""
    rng = Random(number)
    seed = rng.randrange(1 << 30)
    old = cluster(Random(seed))
    first = fuzz.load(old)
    for _ in range(50):
        new = cluster(Random(rng.randrange(1 << 30))) if rng.random() < 0.3 else _changed(old, rng)
        second = fuzz.load(new)
        if second.ok and second.cluster is not None:
            return first, second
    return first, first


def _changed(data: Data, rng: Random) -> Data:
    """Return the definition with one to four changes, which may make it invalid."""
    data = copy.deepcopy(data)
    for _ in range(rng.randint(1, 4)):
        rng.choice([_change_network, _change_interface, _change_interface, _change_hosts, _change_guests])(data, rng)
    return data


def _change_network(data: Data, rng: Random) -> None:
    network = data["networks"][rng.choice(list(data["networks"]))]
    key, value = rng.choice(
        [
            ("mtu", rng.choice([1500, 4000, 9000])),
            ("zone", rng.choice(["internal", "public"])),
            ("attach", rng.choice(["always", "on-demand"])),
            ("vlan", rng.randint(300, 310)),
            ("metric", rng.randint(1100, 1110)),
            ("default_route", False),
            ("dns", {"servers": ["10.0.0.99"]}),
        ]
    )
    if key in network and rng.random() < 0.5 and key != "vlan":
        del network[key]
    elif key != "vlan" or "vlan" in network:
        network[key] = value


def _change_interface(data: Data, rng: Random) -> None:
    host = data["hosts"][rng.choice(list(data["hosts"]))]
    interfaces = host.get("interfaces", {})
    if not interfaces:
        return
    name = rng.choice(list(interfaces))
    interface = interfaces[name]
    what = rng.randrange(7)
    if what == 0 and len(interfaces) > 1:
        del interfaces[name]
    elif what == 1 and interface.get("addresses"):
        interface["addresses"] = interface["addresses"][1:] or [
            interface["addresses"][0].rpartition(".")[0] + f".{rng.randint(100, 120)}"
        ]
    elif what == 2:
        interface["bridge"] = rng.choice([True, False, "brx", {"stp": True}])
    elif what == 3:
        interface["mtu"] = rng.choice([1500, 4000])
    elif what == 4 and "mac" in interface:
        interface["mac"] = f"00:17:00:00:00:{rng.randrange(256):02x}"
    elif what == 5:
        interface["zone"] = rng.choice(["trusted", "drop"])
    else:
        interface.pop(rng.choice(["mtu", "bridge", "zone", "ipv6", "options", "description"]), None)


def _change_hosts(data: Data, rng: Random) -> None:
    hosts = data["hosts"]
    name = rng.choice(list(hosts))
    what = rng.randrange(5)
    if what == 0 and len(hosts) > 1:
        del hosts[name]
    elif what == 1:
        hosts["renamed"] = hosts.pop(name)
    elif what == 2:
        hosts["added"] = {"interfaces": {"eth7": {"mac": "00:18:00:00:00:01"}}}
    elif what == 3:
        hosts[name]["profile"] = rng.choice(["rocks", "plain"])
    else:
        hosts[name]["hostname"] = rng.choice([True, False, "other"])


def _change_guests(data: Data, rng: Random) -> None:
    guests = data["guests"]
    if guests:
        name = rng.choice(list(guests))
        if rng.random() < 0.5 or not guests[name]["nics"]:
            del guests[name]
        else:
            guests[name]["nics"].pop()


def compare(old: Definition, new: Definition) -> Iterator[tuple[Optional[HostReview], list[str]]]:
    """Yield the review of each host that both definitions have, with what a plan on the host says otherwise."""
    before, after = ({b.host: b for b in definition.bundles()} for definition in (old, new))
    nics_before, nics_after = ({name: bundle.nics for name, bundle in side.items()} for side in (before, after))
    for name, successor in match_hosts(nics_before, nics_after).items():
        ports = old.views[name].guest_ports
        bundle, following = before[name], after[successor]
        yield review_changed_host(bundle, following, ports), differences(bundle, following, ports)


def differences(old: Bundle, new: Bundle, ports: Sequence[GuestPortView]) -> list[str]:
    """Return what a plan names on a host that has the old bundle applied and the review does not, and the other way
    round. `ports` are those of the old definition's guests."""
    review = review_changed_host(old, new, ports)
    host = _before(old, new)
    host = plug_in(carry_out(make_plan(old, host), host), new.nics)
    host = replace(host, links=dict(sorted(host.links.items(), key=lambda row: row[1].kind is not None)))
    assessment = assess(new, with_guests(host, old, ports))
    changes = [change for change in assessment.plan.changes if change.kind != "record"]
    planned = {
        "changes": [_text(change) for change in changes],
        "host": _effects(find_effects(assessment) if changes else None),
        "guests": [f"{i.guest} on {i.over}: {i.how} {i.why}" for i in assessment.impacts] if changes else [],
    }
    planned["refusals"] = [_refusal(r) for r in find_refusals(assessment, CODES)] if changes else []
    said = {
        "changes": [_text(change) for change in review.changes] if review else [],
        "host": _effects(review.effects if review else None),
        "guests": [f"{g.guest} on {g.over}: {g.how} {g.why}" for g in review.guests] if review else [],
        "refusals": [_refusal(r) for r in review.refusals] if review else [],
    }
    stated = {str(nic.mac) for nic in (*old.nics, *new.nics)}
    planned, said = ({part: _hide_others(lines, stated) for part, lines in d.items()} for d in (planned, said))
    wrong = []
    for part, lines in planned.items():
        wrong += [f"{old.host}: plan only: {part}: {line}" for line in lines if line not in said[part]]
        wrong += [f"{old.host}: diff only: {part}: {line}" for line in said[part] if line not in lines]
    return wrong


def _before(bundle: Bundle, later: Bundle) -> Live:
    """Return the host before kvmnet. The kernel name of a NIC is the one that one of the bundles states or needs, and
    else its key."""
    needed = {nic.mac: nic.name for nic in later.nics if nic.link_file is None}
    names: dict[str, str] = {}
    for nic in sorted(bundle.nics, key=lambda nic: bool(nic.link_file) and not nic.kernel_name):
        wishes = [nic.kernel_name, None if nic.link_file else nic.name, needed.get(nic.mac), nic.interface]
        name = next((wish for wish in wishes if wish and wish not in names), None)
        if nic.mac:
            names[name or "nic" + nic.mac.replace(":", "")[-6:]] = nic.mac
    macs = [nic.mac for nic in bundle.nics]
    return plug_in(new_host(bundle.host, dict(sorted(names.items(), key=lambda row: macs.index(row[1])))), bundle.nics)


def _hide_others(lines: Sequence[str], macs: Collection[str]) -> list[str]:
    """Return lines without the MAC addresses of NICs that no definition states."""
    pattern = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
    return [pattern.sub(lambda match: match[0] if match[0].lower() in macs else "unknown", line) for line in lines]


def _refusal(refusal: Refusal) -> str:
    return f"{refusal.code} {refusal.message}"


def _text(change: Change) -> str:
    return f"{change.kind} {change.name}: {'; '.join(detail_texts(change))}"


def _effects(effects: Any) -> list[str]:
    if effects is None:
        return []
    data = effects.to_json()
    rows = [f"{part}: {row}" for part in ("management", "interfaces", "duplicates") for row in data[part]]
    return [*rows, f"interruption: {data['interruption']}"]


def run(pairs: int, seed: int = 0) -> tuple[list[str], int, int]:
    """Compare this many pairs; return what is wrong, the number of hosts, and that of hosts that change."""
    wrong: list[str] = []
    hosts = changed = 0
    for number in range(seed, seed + pairs):
        for review, found in compare(*pair(number)):
            hosts += 1
            changed += bool(review and review.changes)
            wrong += [f"pair {number}: {line}" for line in found]
    return wrong, hosts, changed


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.versions", description=__doc__)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="number of the first pair")
    options = parser.parse_args()
    wrong, hosts, changed = run(options.pairs, options.seed)
    print("\n".join(wrong[:40]))
    print(f"{options.pairs} pairs, {hosts} hosts, {changed} with changes, {len(wrong)} differences")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
