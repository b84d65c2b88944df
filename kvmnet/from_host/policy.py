"""Changes the definition of a host to the naming policy rocks: eth0 becomes peth0, a port of the bridge eth0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.importers._draft import HostPart, Part

#: What an existing bridge has and the policy gives to the new one.
_OF_POLICY = ("name", "mac")


def adopt_rocks_policy(host: HostPart) -> None:
    """Let the naming policy name the bridges of a host. Bridges with several ports or none keep their names."""
    host.settings = {"kvm": True, **host.settings}
    bridges = {name: key for key, part in host.interfaces.items() if (name := _name_of(part.values.get("bridge")))}
    for key, part in host.interfaces.items():
        values = dict(part.values)
        is_bridge = values.get("type") == "bridge"
        if "bridge" in values and not is_bridge:
            values["bridge"] = _without_name(values["bridge"])
            is_default = values["bridge"] is True and "." not in key and "over" not in values
            if is_default or values["bridge"] is False:  # the default of NICs and bonds is a bridge
                del values["bridge"]
        base = values.get("over") or (key.rpartition(".")[0] if "." in key else "")
        if base in bridges:
            values["over"] = bridges[base]
        host.interfaces[key] = Part(values, part.origin, part.comment)


def _name_of(bridge: Any) -> str:
    return str(bridge.get("name", "")) if isinstance(bridge, Mapping) else bridge if isinstance(bridge, str) else ""


def _without_name(bridge: Any) -> Any:
    """Return the settings of a bridge without those of the old one; true if there are no others."""
    if not isinstance(bridge, Mapping):
        return bool(bridge)
    return {key: value for key, value in bridge.items() if key not in _OF_POLICY} or True
