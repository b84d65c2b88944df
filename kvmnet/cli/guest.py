"""`kvmnet guest`: the guests of the definition, and their NICs as libvirt XML."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import write_stderr, write_stdout, write_text
from kvmnet.cli.definition import get_guest, get_host, load_definition
from kvmnet.cli.help import GUESTS, CommandGroup, examples
from kvmnet.cli.options import AllowOption, JsonOption, PathArgument, read_allowed_codes

if TYPE_CHECKING:
    from kvmnet.core.definition.model import Guest
    from kvmnet.core.guests.domain_merge import Merged
    from kvmnet.core.views.host_view import GuestPortView
    from kvmnet.pipeline import Definition

GuestArgument = Annotated[
    str, typer.Argument(metavar="GUEST", help="Name of a guest in the definition.", show_default=False)
]
_XML_HOST_HELP = "The host that the guest will run on. Needed when the XML differs between the guest's hosts."
_TARGET_HELP = "Name of the host that the guest would move to."
_DOMAIN_HELP = (
    "Merge the NICs into the domain XML in FILE (from `virsh dumpxml --inactive GUEST`) and print the result. "
    "Use - for stdin."
)

#: The code of the refusal to write XML in which a NIC has lost what protected others from its guest.
LOST_PROTECTION = "KVN564"
#: The code of the refusal to write XML that libvirt on this host cannot start.
OLD_LIBVIRT = "KVN565"
_LOSS_HINT = (
    "connect the NIC to a bridge (bridge: true on the VLAN), or protect the network in another way and accept the loss"
)

group = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="List guests, print their NICs as libvirt XML, or check whether they can move to another host.",
)


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    if not group.registered_commands:
        xml_end = examples(
            "kvmnet guest xml web1", "virsh dumpxml --inactive web1 | kvmnet guest xml web1 --domain - > web1.xml"
        )
        group.command("xml", epilog=xml_end)(print_xml)
        group.command("list", epilog=examples("kvmnet guest list cluster.yaml"))(list_guests)
        group.command("can-move", epilog=examples("kvmnet guest can-move web1 HOST"))(check_move)
    app.add_typer(group, name="guest", rich_help_panel=GUESTS)


def print_xml(
    guest: GuestArgument,
    path: PathArgument = None,
    host: Annotated[Optional[str], typer.Option("--host", metavar="HOST", help=_XML_HOST_HELP)] = None,
    domain: Annotated[Optional[str], typer.Option("--domain", metavar="FILE", help=_DOMAIN_HELP)] = None,
    allow: AllowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a guest's NICs as libvirt <interface> elements, or merged into its domain XML.

    Settings of a NIC that libvirt does not have on its new connection are removed, and printed on stderr.
    """
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.guests import guest_xml

    if as_json and domain is not None:
        raise Usage("--json and --domain cannot be used together", "a domain's XML is for libvirt")
    definition = load_definition(path)
    chosen = get_guest(definition, guest)
    name = _choose_host(definition, chosen, host)
    ports = definition.views[name].ports_of(guest)
    _require_libvirt(name, ports, allow)
    if domain is not None:
        _print_merged(_merge_into_domain(domain, ports), allow)
    elif as_json:
        elements = [
            {"mac": p.mac, "network": p.network, "device": p.device, "xml": guest_xml.format_interface(p)}
            for p in ports
        ]
        write_stdout(json.dumps({"guest": guest, "interfaces": elements}, indent=2) + "\n")
    else:
        write_stdout(guest_xml.format_interfaces(ports))


def _print_merged(merged: "Merged", allow: Optional[list[str]]) -> None:
    """Print a domain's new XML, and on stderr what was removed from it. Raises Refused for a lost protection that is
    not allowed."""
    from kvmnet.core.refusals import Refusal, require_allowed

    losses = [Refusal(LOST_PROTECTION, loss, _LOSS_HINT) for loss in merged.losses]
    require_allowed(losses, read_allowed_codes(allow))
    for note in merged.notes:
        write_stderr(f"kvmnet: {note}\n")
    for mac in merged.unknown:
        nic = f"NIC {mac}" if mac else "NIC without a MAC address"
        write_stderr(f"kvmnet: the domain's {nic} is not in the definition: its XML is not changed\n")
    write_stdout(merged.text.decode("utf-8"))


def _require_libvirt(host: str, ports: Sequence["GuestPortView"], allow: Optional[list[str]]) -> None:
    """Note that the guest's VLANs need libvirt 11.0.0. Raises Refused if this machine is the host and has an older
    one, unless that is allowed."""
    from kvmnet.core.live.live_host import version_of
    from kvmnet.core.refusals import Refusal, require_allowed
    from kvmnet.core.refusals.guests import VLANS_OF_PORTS
    from kvmnet.host.libvirt import read_version
    from kvmnet.host.read_live import read_hostname

    if not any(port.needs_vlans for port in ports):
        return
    version = read_version() if read_hostname().partition(".")[0] == host.partition(".")[0] else ""
    if version and version_of(version) < VLANS_OF_PORTS:
        message = f"libvirt {version} on this host cannot start a guest with VLANs on a bridge (11.0.0 can)"
        hint = "use one bridge for each VLAN (eth0.20: {network: …, bridge: true}), or update libvirt"
        require_allowed([Refusal(OLD_LIBVIRT, message, hint)], read_allowed_codes(allow))
    write_stderr("kvmnet: <vlan> on a bridge needs libvirt 11.0.0 or later, and VLAN filtering of the bridge\n")


def list_guests(path: PathArgument = None, as_json: JsonOption = False) -> None:
    """List guests with their hosts, NICs and networks, and which of them run on this host."""
    from kvmnet.host.libvirt import LibvirtError, list_running_guests

    definition = load_definition(path)
    assert definition.cluster is not None
    try:
        running = list_running_guests()
    except LibvirtError as error:
        write_stderr(f"kvmnet: cannot list running guests: {error}\n")
        running = None
    rows = [_describe_guest(definition, guest, running) for guest in definition.cluster.guests.values()]
    unknown = [name for name in running or () if name not in definition.cluster.guests]
    if as_json:
        write_stdout(json.dumps({"guests": rows, "running_unknown": unknown}, indent=2) + "\n")
        return
    for row in rows:
        write_text(_format_guest(row))
    for name in unknown:
        write_text(f"{name}: running here, not in the definition\n")


def check_move(
    guest: GuestArgument,
    host: Annotated[str, typer.Argument(metavar="HOST", help=_TARGET_HELP, show_default=False)],
    path: PathArgument = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether a guest can move to a host.

    The host needs a bridge or VLAN for each NIC of the guest, with at least the same MTU. The exit code is 1 if the
    guest cannot move.
    """
    from kvmnet.core.guests.guest_migration import check_migration

    definition = load_definition(path)
    assert definition.cluster is not None
    move = check_migration(definition.cluster, get_guest(definition, guest), get_host(definition, host))
    if as_json:
        write_stdout(json.dumps(move.to_json(), indent=2) + "\n")
    else:
        write_text(f"{guest} {'can' if move.possible else 'cannot'} move to {host}\n")
        for nic in move.nics:
            port = f"{nic.port.device}, MTU {nic.mtu}" if nic.port is not None else ""
            write_text(f"  {nic.nic.mac}  {nic.nic.title}: {nic.problem or port}\n")
        write_text("".join(f"note: {note}\n" for note in move.notes))
    if not move.possible:
        raise typer.Exit(exit_codes.PROBLEMS)


def _describe_guest(definition: "Definition", guest: "Guest", running: Optional[list[str]]) -> dict[str, Any]:
    """Return a guest for JSON; `running` names the domains that run here (None: unknown)."""
    assert definition.cluster is not None
    hosts = [host.name for host in definition.cluster.hosts_of(guest)]
    nics = []
    for nic in guest.nics:
        ports: dict[str, dict[str, Any]] = {}
        for host in hosts:
            for port in definition.views[host].ports_of(guest.name):
                if (port.mac, port.network) == (nic.mac, nic.network):
                    described: dict[str, Any] = {"device": port.device, "macvtap": port.macvtap, "always": port.always}
                    if port.needs_vlans:
                        described.update(untagged=port.untagged, trunk=list(port.trunk))
                    ports.setdefault(host, described)
        trunk = {"networks": list(nic.trunk), "native": nic.native} if nic.trunk else {}
        nics.append({"mac": nic.mac, "network": nic.network, **trunk, "ports": ports})
    return {
        "guest": guest.name,
        "host": guest.host,
        "group": guest.group,
        "hosts": hosts,
        "running_here": None if running is None else guest.name in running,
        "nics": nics,
    }


def _format_guest(row: dict[str, Any]) -> str:
    """Return the lines about a guest of `_describe_guest`."""
    place = f"host {row['host']}" if row["host"] else f"group {row['group']} ({', '.join(row['hosts']) or 'no host'})"
    state = {None: "", True: ", running here", False: ", not running here"}[row["running_here"]]
    lines = [f"{row['guest']}: {place}{state}"]
    lines += [f"  {nic['mac']}  {_format_networks(nic)}: {_format_ports(nic['ports'])}" for nic in row["nics"]]
    return "".join(f"{line}\n" for line in lines)


def _format_networks(nic: dict[str, Any]) -> str:
    native = f" (native {nic['native']})" if nic.get("native") else ""
    return ", ".join(nic.get("networks", [nic["network"]])) + native


def _format_ports(ports: dict[str, dict[str, Any]]) -> str:
    """Return what a NIC is connected to, by host; only once where it is the same on all hosts."""
    hosts_by_text: dict[str, list[str]] = {}
    for host, port in ports.items():
        if port["macvtap"] is None:
            text = f"bridge {port['device']}{_format_vlans(port)}"
        else:
            text = f"macvtap on {port['device']}, {port['macvtap'] + ' from boot' if port['always'] else 'on demand'}"
        hosts_by_text.setdefault(text, []).append(host)
    if len(hosts_by_text) == 1:
        return next(iter(hosts_by_text))
    return "; ".join(f"{text} ({', '.join(hosts)})" for text, hosts in hosts_by_text.items())


def _format_vlans(port: dict[str, Any]) -> str:
    tags = [str(tag) for tag in port.get("trunk", [])]
    if tags:
        return f", VLANs {', '.join(tags)} with tags"
    return f", VLAN {port['untagged']}" if port.get("untagged") is not None else ""


def _choose_host(definition: "Definition", guest: "Guest", host: Optional[str]) -> str:
    """Return the host whose devices the XML names: `host`, or any host of the guest when all give the same XML.

    Raises Usage when `host` is not a host of the guest, or when one must be chosen.
    """
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.guests import guest_xml

    assert definition.cluster is not None
    hosts = [h.name for h in definition.cluster.hosts_of(guest)]
    if host is not None:
        get_host(definition, host)
        if host not in hosts:
            check = f"`kvmnet guest can-move {guest.name} {host}` checks whether it could"
            hint = f"its hosts: {', '.join(hosts) or 'none'}; {check}"
            raise Usage(f"guest {guest.name} does not run on {host}", hint)
        return host
    if not hosts:
        raise Usage(f"guest {guest.name} has no host: no host is in group {guest.group}")
    texts = {guest_xml.format_interfaces(definition.views[name].ports_of(guest.name)) for name in hosts}
    if len(texts) > 1:
        message = f"the XML of guest {guest.name} differs between its hosts"
        raise Usage(message, f"choose one with --host: {', '.join(hosts)}")
    return hosts[0]


def _merge_into_domain(name: str, ports: Sequence["GuestPortView"]) -> "Merged":
    """Return the domain XML of a file (- is stdin) with these NICs. Raises DomainError, which names the file."""
    from kvmnet.core.guests.domain_merge import merge
    from kvmnet.core.guests.domain_text import DomainError
    from kvmnet.definition_files import read_file

    domain = sys.stdin.buffer.read() if name == "-" else read_file(Path(name))
    try:
        return merge(domain, ports)
    except DomainError as error:
        raise DomainError(f"{'standard input' if name == '-' else name}: {error.message}", error.hint) from None
