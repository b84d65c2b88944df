"""What libvirt's hook (kvmnet/hook.py) may make on a host, from its bundle."""

from __future__ import annotations

import json
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.rendering.bundle import Bundle

#: Its name beside the bundle that is applied. JSON: the hook's Python has no YAML.
HOOK_FILE = "hook.json"


def hook_record(bundle: Bundle) -> dict[str, Any]:
    """The VLAN devices that come with guests (MTU in bytes, None: that of the base), the names of what the host
    has at rest, and those that a VLAN device of ours may lie over."""
    at_rest = interfaces_of(bundle.state)
    on_demand = (bundle.guests or {}).get("interfaces", [])
    return {
        "format": 1,
        "host": bundle.host,
        "digest": bundle.digest,
        "vlans": {
            i["name"]: {"base": i["vlan"]["base-iface"], "tag": i["vlan"]["id"], "mtu": i.get("mtu")}
            for i in on_demand
            if i["type"] == "vlan"
        },
        "own": [i["name"] for i in at_rest],
        "bases": [i["name"] for i in at_rest if i["type"] in ("ethernet", "bond")],
    }


def hook_text(bundle: Bundle) -> str:
    """The record as the text of its file."""
    return json.dumps(hook_record(bundle), indent=1) + "\n"
