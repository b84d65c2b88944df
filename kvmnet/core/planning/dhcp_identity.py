"""Who a machine is to a DHCP server and to a router, carried over to what takes an interface's place.

nmstate has every profile that it makes or changes ask by the MAC: client id, DUID and IAID; and make addresses of a
router's prefix from the MAC (2.2.9 to 2.2.62). NetworkManager's own DUID is the machine's, its IAID the interface's
name's, and an address by addr-gen-mode=stable-privacy (RFC 7217) is from the UUID of the connection profile. So what an
interface has is told in full, as bytes, for the interface that will have it. It is neither in a definition nor in a
bundle: it is the machine's own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvmnet.core.base.nmstate import State, interfaces_of, port_names
from kvmnet.core.live.live_host import Live, Profile, version_of
from kvmnet.core.planning.difference import is_link_local, made_by_itself
from kvmnet.core.planning.rename_order import Rename, carrier_of

Interface = Mapping[str, Any]

#: NetworkManager's words for a client id (nm-settings(5)); anything else is the client id itself.
_WORDS = ("", "mac", "perm-mac", "duid", "ipv6-duid", "stable", "none")
#: NetworkManager's words for the MAC. A bridge has the MAC of its NIC, the permanent one.
_BY_MAC = ("mac", "perm-mac")
_BYTES = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2})+", re.IGNORECASE)
#: The oldest nmstate whose source was seen to take an address's last half (`token`).
TOKENS = (2, 2, 24)
_HOW_TO_KEEP = "reserve the address for the MAC at the DHCP server before, or give it in the definition"


@dataclass(frozen=True)
class Identity:
    """By what an interface asks and makes its addresses, each empty where it is by the MAC, as nmstate has it by
    itself. `iaid` is a number, which nmstate cannot be told; `token` the last half of the address from a router's
    prefix; `lost` what could not be carried over, a line each."""

    client_id: str = ""
    duid: str = ""
    iaid: str = ""
    token: str = ""
    lost: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """What is carried over, for a person."""
        said = {
            "DHCP client id": self.client_id,
            "DHCPv6 DUID": self.duid,
            "DHCPv6 IAID": self.iaid,
            "IPv6 token": self.token,
        }
        return [f"{what} {value}" for what, value in said.items() if value]


def identities(desired: State, renames: Collection[Rename], left: Mapping[str, str], live: Live) -> dict[str, Identity]:
    """The identity of each interface that is to ask a DHCP server or a router: its own, or that of what it takes the
    place of. `left` are the interfaces that go."""
    sources = _sources(desired, renames, left, live)
    there = {i["name"]: i for i in interfaces_of(live.state)}
    found = {}
    for interface in interfaces_of(desired):
        name = interface["name"]
        if interface.get("state") != "up" or not any(_asks(interface, family) for family in ("ipv4", "ipv6")):
            continue
        rows = [there[source] for source in sources.get(name, ()) if source in live.profiles]
        found[name] = _identity(interface, rows, live)
    return found


def identified(interface: Interface, identity: Identity) -> dict[str, Any]:
    """The interface as nmstate is told it."""
    new = dict(interface)
    if identity.client_id:
        new["ipv4"] = {**interface["ipv4"], "dhcp-client-id": identity.client_id}
    more = {"dhcp-duid": identity.duid} if identity.duid else {}
    if identity.token:
        more.update({"addr-gen-mode": "eui64", "token": identity.token})
    if more:
        new["ipv6"] = {**interface["ipv6"], **more}
    return new


def _sources(desired: State, renames: Collection[Rename], left: Mapping[str, str], live: Live) -> dict[str, list[str]]:
    """What is in the place of an interface now, itself first."""
    controllers = {port: i["name"] for i in interfaces_of(desired) for port in port_names(i)}
    new = {r.old: r.new for r in renames}
    found: dict[str, list[str]] = {}
    for interface in interfaces_of(live.state):
        name = interface["name"]
        stays = carrier_of(name, left, live) if name in left else name
        own = place = new.get(str(stays), str(stays))
        while place in controllers:
            place = controllers[place]
        rows = found.setdefault(place, [])
        rows.insert(0 if place == own else len(rows), name)
    return found


def _asks(interface: Interface, family: str) -> bool:
    return bool(interface.get(family, {}).get("dhcp") or interface.get(family, {}).get("autoconf"))


def _identity(interface: Interface, rows: list[Interface], live: Live) -> Identity:
    """Of what is in its place now the first that asks for addresses of a family says how it is done."""
    found: dict[str, Any] = {}
    lost: list[str] = []
    for family, key, ways in (("ipv4", "dhcp", _v4), ("ipv6", "dhcp", _v6), ("ipv6", "autoconf", _token)):
        row = next((row for row in rows if row.get(family, {}).get(key)), None)
        if row is not None and interface.get(family, {}).get(key):
            mac = str(interface.get("mac-address") or row.get("mac-address")).lower()
            kept, gone = ways(interface["name"], mac, row, live)
            found.update(kept)
            lost += gone
    return Identity(**found, lost=tuple(lost))


_Kept = tuple[dict[str, str], list[str]]


def _v4(place: str, mac: str, row: Interface, live: Live) -> _Kept:
    profile = live.profiles[row["name"]]
    said = {"ipv4.dhcp-client-id": profile.dhcp4_client_id, "ipv4.dhcp-iaid": profile.dhcp4_iaid}
    told = profile.client_id
    if not told and profile.dhcp4_client_id not in _WORDS:
        told = profile.dhcp4_client_id
    if told:
        return {"client_id": told if told.lower() != f"01:{mac}" else ""}, []  # 01 is Ethernet
    if profile.dhcp4_client_id in _BY_MAC:  # there is no IAID in it
        return {}, []
    how = ", ".join(f"{key}={value}" for key, value in said.items() if value)
    return {}, [_may_change(row["name"], "DHCP", how, place)] if how else []


def _v6(place: str, mac: str, row: Interface, live: Live) -> _Kept:
    profile = live.profiles[row["name"]]
    duid = profile.duid or (profile.dhcp6_duid if _BYTES.fullmatch(profile.dhcp6_duid) else "")
    iaid = _number(profile)
    said = {}
    if not duid and profile.dhcp6_duid != "ll":
        said["ipv6.dhcp-duid"] = profile.dhcp6_duid
    if not iaid and profile.dhcp6_iaid not in _BY_MAC:
        said["ipv6.dhcp-iaid"] = profile.dhcp6_iaid
    how = ", ".join(f"{key}={value}" for key, value in said.items() if value)
    if said and not how and any(_is_lease(address) for address in row.get("ipv6", {}).get("address", [])):
        how = "a DUID and an IAID of NetworkManager's choice"
    kept = {
        "duid": duid if duid.lower() != f"00:03:00:01:{mac}" else "",
        "iaid": iaid if iaid != str(int(mac.replace(":", "")[-8:], 16)) else "",
    }
    return kept, [_may_change(row["name"], "DHCPv6", how, place)] if how else []


def _number(profile: Profile) -> str:
    """The IAID as a profile takes it in every version of NetworkManager, which tells it as four bytes."""
    if len(profile.iaid) == len("00:00:00:00") and _BYTES.fullmatch(profile.iaid):
        return str(int(profile.iaid.replace(":", ""), 16))
    return profile.dhcp6_iaid if profile.dhcp6_iaid.isdigit() else ""


def _token(place: str, mac: str, row: Interface, live: Live) -> _Kept:
    """With one router's prefix, or a token, there is one last half. By stable-privacy each prefix has its own."""
    said = str(row["ipv6"].get("token") or "::")
    ends = {_end(a["ip"]): str(a["ip"]) for a in _from_routers(row, live)}
    own = {end: address for end, address in ends.items() if end != _eui64(mac)}
    if said != "::":
        return {"token": said}, []
    if len(ends) == 1 and own and (not live.nmstate or version_of(live.nmstate) >= TOKENS):
        return {"token": next(iter(own))}, []
    name, mode = row["name"], row["ipv6"].get("addr-gen-mode", "stable-privacy")
    how = f"{name} has it by addr-gen-mode={mode}, and will have one from its MAC"
    return {}, [f"the address {address} may change: {how}" for address in own.values()]


def _from_routers(row: Interface, live: Live) -> Iterator[Mapping[str, Any]]:
    """A router's prefix has its length in the address (DHCPv6 gives 128), and no address that changes by and by is
    anybody's to keep."""
    for address in row["ipv6"].get("address", []):
        ip, routed = str(address["ip"]), made_by_itself(address) and int(address["prefix-length"]) == 64
        if routed and ip not in live.temporary and not is_link_local(ip):
            yield address


def _end(address: Any) -> str:
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(str(address))) & (2**64 - 1)))


def _eui64(mac: str) -> str:
    """The last half of an address that is from the MAC (RFC 4291, appendix A)."""
    first, *rest = mac.split(":")
    whole = f"{int(first, 16) ^ 2:02x}{''.join(rest[:2])}fffe{''.join(rest[2:])}"
    return str(ipaddress.IPv6Address(int(whole, 16)))


def _is_lease(address: Mapping[str, Any]) -> bool:
    """An address from a router's prefix has the prefix's length."""
    ends, alone = made_by_itself(address), int(address["prefix-length"]) == 128
    return ends and alone and not is_link_local(str(address["ip"]))


def _may_change(name: str, word: str, how: str, place: str) -> str:
    words = f"the address that {name} has from {word} may change: it asks by {how}, {place} will by its MAC"
    return f"{words}; to keep it {_HOW_TO_KEEP}"
