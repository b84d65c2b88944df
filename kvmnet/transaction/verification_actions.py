"""The actions of verification_steps: read back, probe, wait for the confirmation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from pathlib import Path

from kvmnet.core.base.probe import Probe
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.probing import find_replies
from kvmnet.host.tcp_sockets import read_tcp_sockets
from kvmnet.rescue import comparison, restore, whole_host
from kvmnet.system import bridge_ports, clock, files, links, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json
from kvmnet.transaction.action_context import Context, StepFailed, read_guest_ports
from kvmnet.transaction.readback import (
    find_inactive_devices,
    find_kernel_differences,
    find_unused_servers,
    find_wrong_rules,
    find_wrong_zones,
)
from kvmnet.transaction.step import Step

#: The file beside the journal with the cookies of the TCP connections that exist when a confirmation can begin.
CONNECTIONS_FILE = "connections.json"


def read_back(context: Context, step: Step) -> str:
    """Wait until the kernel shows what was applied, NetworkManager has activated the devices that it was sent, and the
    guests' taps are ports of their bridges. Addresses and ports may take a moment, those of many interfaces longer."""
    guests = read_guest_ports(context.folder)
    bridges = _select_bridges(files.read_json(context.folder / "snapshot.json"), step.get("with_own_vlans", ()))
    activation = _Activation(context.manager, step["sent"])

    def find_kernel_problems() -> list[str]:
        rules = find_wrong_rules(step.get("rules", ()))
        vlans = whole_host.compare_own_ports(bridges, links.read_kernel()) if bridges["names"] else []
        guests_ports = comparison.find_guest_differences(guests)
        return [*find_kernel_differences(step["expect"]), *rules, *guests_ports, *vlans]

    def find_other_problems() -> list[str]:
        return find_wrong_zones(step.get("zones", {})) or find_unused_servers(context.manager, step["dns"])

    def is_complete() -> bool:
        with contextlib.suppress(HostError):
            restore.restore_guest_ports(guests)
            restore.restore_own_ports(bridges)
            _set_port_vlans(step["expect"])
        return activation.poll() and not find_kernel_problems() and not find_other_problems()

    if not clock.wait_until(is_complete, 10 + len(step["expect"]) / 2):
        # On a slow host the last look may be older than the limit: only what is wrong now counts.
        problems = find_kernel_problems() or activation.find_problems() or find_other_problems()
        if problems:
            raise StepFailed("the host is not in the desired state: " + "; ".join(problems))
    ports = f", {len(guests['guests'])} guests' ports as before" if guests["guests"] else ""
    return f"{len(step['expect'])} interfaces as defined{ports}"


def _select_bridges(before: Json, names: Collection[str]) -> Json:
    """Return a snapshot of these bridges alone, with the VLANs that they have themselves."""
    ports = before.get("host", {}).get("ports", {})
    own = {name: ports[name] for name in names if name in ports and "of" not in ports[name]}
    return {"names": list(own), "host": {"ports": own}}


def _set_port_vlans(expectations: Collection[Json]) -> None:
    """Set the VLANs of ports that have others. NetworkManager 1.42 does not set them when it reapplies a profile that
    states them already, so drift would stay. Raises HostError."""
    expected = {name: vlans for want in expectations for name, vlans in want.get("port_vlans", {}).items()}
    current = bridge_ports.read_vlans() if expected else {}
    for name, vlans in expected.items():
        wanted = [[tag, tag, []] for tag in vlans["tagged"]]
        if untagged := vlans["untagged"]:
            wanted.append([untagged, untagged, ["Egress Untagged", "PVID"]])
        for command in bridge_ports.vlan_commands(name, wanted, current.get(name, [])):
            programs.run("bridge", *command)


class _Activation:
    """Whether NetworkManager has activated all devices, found out with few questions: each takes processor time that
    NetworkManager needs to activate them.

    It asks about one device until that is active, then about all. If some are not, it asks about four of these until
    they are active, then about all again, then about sixteen, and so on."""

    def __init__(self, manager: NetworkManager, names: list[str]) -> None:
        self.manager = manager
        self.names = names
        self.inactive = names
        self.sample_size = 1

    def poll(self) -> bool:
        """Ask once, and remember which devices are not active yet. Returns whether all are."""
        try:
            if find_inactive_devices(self.manager, self.inactive[: self.sample_size]):
                return False
            self.inactive = find_inactive_devices(self.manager, self.names)
        except NMError:
            return False
        self.sample_size *= 4
        return not self.inactive

    def find_problems(self) -> list[str]:
        """The devices that are not active, one line each."""
        try:
            inactive = find_inactive_devices(self.manager, self.names)
        except NMError as error:
            return [str(error)]
        return [f"NetworkManager has not activated {name}" for name in inactive]


def probe_targets(context: Context, step: Step) -> str:
    """Probe the targets repeatedly until all have replied, for longer when a link went down."""
    probes = [Probe.from_json(row) for row in step["targets"]]
    replies = find_replies(probes, step["patience"] if context.has_lost_link() else step["seconds"])
    silent = [probe for probe in probes if probe not in replies.replied]
    if silent:
        addresses = [address for probe in silent if not probe.device and (address := probe.address)]
        through = [f"{probe.text} through {port}" for probe, port in replies.through_guests.items()]
        guests = f" (what came through a guest's port does not count: {', '.join(through)})" if through else ""
        message = f"no reply from {', '.join(probe.text for probe in silent)} after the change{guests}"
        raise StepFailed(message, addresses)
    return ", ".join(probe.text for probe in probes) + " replied"


def wait_for_confirmation(context: Context, step: Step) -> str:
    """Wait for the file that `kvmnet confirm` writes beside the journal, with the ID of this transaction; `kvmnet
    confirm` checks whether its caller may confirm. Returns where the confirmation came from."""
    identity = files.read_json(context.folder / "transaction.json").get("id")
    file = context.folder / "confirmed.json"
    if not clock.wait_until(lambda: files.read_json(file).get("id") == identity, step["seconds"]):
        raise StepFailed(f"no confirmation within {step['seconds']} s")
    return str(files.read_json(file).get("by", ""))


def note_connections(folder: Path) -> None:
    """Write down which TCP connections exist: the kernel does not show when one was opened, but the cookie of a later
    one is another one. `kvmnet confirm` uses it besides the start of sshd."""
    with contextlib.suppress(HostError):  # the start of sshd still counts
        cookies = sorted(found.cookie for found in read_tcp_sockets())
        files.write_file(str(folder / CONNECTIONS_FILE), json.dumps({"cookies": cookies}).encode(), 0o600)
