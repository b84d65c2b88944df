"""The data for libvirt's hook (kvmnet/hook.py): which VLAN devices it may create on a host."""

from __future__ import annotations

import json
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.rendering.bundle import Bundle

#: Name of its file, in the folder of the applied bundle. JSON, because the hook's Python has no YAML parser.
HOOK_FILE = "hook.json"


def hook_record(bundle: Bundle) -> dict[str, Any]:
    """Return the record of a bundle.

    `vlans` are the VLAN devices that exist only while a guest runs; `mtu` is in bytes, None for that of the base
    interface. `own` are the names of the host's other interfaces. `bases` are the possible base interfaces: NICs,
    bonds, and the bridges that a VLAN of the bundle is over.
    """
    from_boot = interfaces_of(bundle.state)
    on_demand = (bundle.guests or {}).get("interfaces", [])
    used = {i["vlan"]["base-iface"] for i in [*from_boot, *on_demand] if "vlan" in i}
    types = ("ethernet", "bond")
    return {
        "format": 1,
        "host": bundle.host,
        "digest": bundle.digest,
        "vlans": {
            i["name"]: {"base": i["vlan"]["base-iface"], "tag": i["vlan"]["id"], "mtu": i.get("mtu")}
            for i in on_demand
            if i["type"] == "vlan"
        },
        "own": [i["name"] for i in from_boot],
        "bases": [i["name"] for i in from_boot if i["type"] in types or i["name"] in used],
    }


def format_hook_record(bundle: Bundle) -> str:
    """Return the record of a bundle as the text of its file."""
    return json.dumps(hook_record(bundle), indent=1) + "\n"
