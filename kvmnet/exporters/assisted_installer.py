"""Exports the static network configuration of OpenShift's assisted installer: a state and a map of MAC addresses for
each host."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.yaml_writer import to_yaml
from kvmnet.exporters import Exporter, File, Files, Group, Options
from kvmnet.exporters._plain_nmstate import CannotExport, require_plain_states


def export_static_network_config(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return static_network_config.json, the list that the API of the assisted installer expects.

    Raises CannotExport for a host that nmstate alone cannot configure, and for a NIC without a MAC address: the
    installer finds a host and its NICs by them.
    """
    require_plain_states(bundles, "the assisted installer")
    without = [f"{nic.interface} of host {b.host}" for b in bundles for nic in b.nics if nic.mac is None]
    if without:
        raise CannotExport(
            f"the assisted installer finds NICs by MAC address, which is missing for {', '.join(without)}",
            "add `mac` to the NICs in the definition",
        )
    hosts = [
        {
            "network_yaml": to_yaml(bundle.state),
            "mac_interface_map": [{"mac_address": nic.mac, "logical_nic_name": nic.name} for nic in bundle.nics],
        }
        for bundle in bundles
    ]
    return {"static_network_config.json": File(json.dumps(hosts, indent=2) + "\n")}


EXPORTER = Exporter(
    name="assisted-installer",
    help="The static network configuration of OpenShift's assisted installer: network_yaml and mac_interface_map.",
    function=export_static_network_config,
)
