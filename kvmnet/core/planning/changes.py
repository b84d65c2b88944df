"""The changes of a plan as data. `core/reporting/change_text` words them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal, Optional, Union

from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.profile_changes import SettingDifference

Kind = Literal["add", "change", "remove", "rename", "file", "save", "record"]


class Reason(Enum):
    """The reason for a change that needs no further data."""

    LINK_FILE_NEEDED = auto()
    LINK_FILE_UNUSED = auto()
    TAKES_OVER_ADDRESSES = auto()
    NIC_RELEASED = auto()
    ONLY_IN_MEMORY = auto()
    GUEST_DEVICES = auto()
    NO_GUESTS = auto()
    MACVTAP_RULE = auto()
    ALL_MULTICAST = auto()
    NOT_RECORDED = auto()
    HOLDS_RULES = auto()
    LOOPBACK_RELEASED = auto()
    CREATED_BY_KVMNET = auto()
    PROFILE_RESTORED = auto()
    PROFILE_COMPLETED = auto()
    KEEPS_VIRTUAL_OUT = auto()
    PORT_VLANS = auto()
    ETHTOOL_LEFT = auto()


@dataclass(frozen=True)
class NewName:
    """The NIC with this permanent MAC address gets the name."""

    name: str
    mac: str


@dataclass(frozen=True)
class JoinsController:
    """The interface becomes a port of the controller."""

    controller: str


@dataclass(frozen=True)
class OptionReset:
    """A bond's option returns to its default."""

    option: str
    live: Any


@dataclass(frozen=True)
class RouteDetail:
    """A route of nmstate."""

    route: Mapping[str, Any]


@dataclass(frozen=True)
class RuleDetail:
    """A routing rule of nmstate."""

    rule: Mapping[str, Any]


@dataclass(frozen=True)
class LeftDefinition:
    """An interface of this nmstate type left the definition."""

    type: str


@dataclass(frozen=True)
class InactiveProfile:
    """A connection profile of kvmnet for an interface that is inactive. It left the definition, or all that kvmnet
    created is removed."""

    interface: str
    left_definition: bool


@dataclass(frozen=True)
class Adopted:
    """The interface was created by another tool. It stays, and kvmnet changes its connection profile of this ID (empty:
    it has none)."""

    profile: str


@dataclass(frozen=True)
class Replaced:
    """The bridge is removed, because a new bridge has its uplinks; the new bridge takes over its guests' ports."""

    successor: str


@dataclass(frozen=True)
class Restored:
    """A bridge from before kvmnet is restored, and takes back the guests' ports of the bridge that has replaced it."""

    successor: str


@dataclass(frozen=True)
class FileRestored:
    """A file gets the content of that day back; with `existed` false it did not exist then."""

    day: str
    existed: bool = True


Detail = Union[
    Difference,
    Reason,
    NewName,
    JoinsController,
    OptionReset,
    RouteDetail,
    RuleDetail,
    LeftDefinition,
    InactiveProfile,
    Adopted,
    Replaced,
    Restored,
    FileRestored,
    SettingDifference,
]


@dataclass(frozen=True)
class Change:
    """One change of a plan: its kind, the name of what changes (an interface, a file, `route`, `rule`, `name servers`,
    `hostname`), and the details."""

    kind: Kind
    name: str
    details: tuple[Detail, ...] = ()


def hostname_change(live: Optional[str], desired: Optional[str]) -> Change:
    """Return the change of the static hostname; None stands for none."""
    return Change("change", "hostname", (Difference("", live, desired),))
