"""kvmnet guest: what the definition means to libvirt."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kvmnet.cli.common import PathArgument, err, load_definition, out

if TYPE_CHECKING:
    from kvmnet.core.definition.model import Guest, Host
    from kvmnet.core.guests.guest_xml import Merged
    from kvmnet.core.views.host_view import GuestPortView
    from kvmnet.pipeline import Definition

GuestArgument = Annotated[str, typer.Argument(help="A guest of the definition.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines: one JSON document.")]
_HOST_HELP = "The host that the guest shall run on; needed where the XML differs between its hosts."
_DOMAIN_HELP = "A domain's XML (virsh dumpxml --inactive GUEST; - is stdin): print it with these NICs in it."

group = typer.Typer(
    no_args_is_help=True, help="Guests: their NICs as libvirt's XML, where they are, where they may go."
)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    if not group.registered_commands:
        group.command("xml")(xml)
        group.command("list")(list_guests)
        group.command("can-move")(can_move)
    app.add_typer(group, name="guest")


def xml(
    guest: GuestArgument,
    path: PathArgument = None,
    host: Annotated[Optional[str], typer.Option("--host", help=_HOST_HELP)] = None,
    domain: Annotated[Optional[str], typer.Option("--domain", metavar="FILE", help=_DOMAIN_HELP)] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a guest's NICs as libvirt's <interface> elements, or a domain's XML with them merged in."""
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.guests import guest_xml

    if as_json and domain is not None:
        raise Usage("--json and --domain do not go together", "a domain's XML is for libvirt")
    definition = load_definition(path)
    chosen = _guest(definition, guest)
    ports = definition.views[_host_for(definition, chosen, host)].ports_of(guest)
    if domain is not None:
        merged = _merged(domain, ports)
        for mac in merged.unknown:
            which = f"NIC {mac}" if mac else "NIC without a MAC"
            err(f"kvmnet: the domain's {which} is not in the definition: left as it is\n")
        out(merged.text.decode("utf-8"))
    elif as_json:
        elements = [
            {"mac": p.mac, "network": p.network, "device": p.device, "xml": guest_xml.interface_xml(p)} for p in ports
        ]
        out(json.dumps({"guest": guest, "interfaces": elements}, indent=2) + "\n")
    else:
        out(guest_xml.interfaces_xml(ports))


def list_guests(path: PathArgument = None, as_json: JsonOption = False) -> None:
    """Show the guests, where they may run, their NICs and networks, and which of them run on this machine."""
    from kvmnet.host.libvirt import LibvirtError, running_guests

    definition = load_definition(path)
    assert definition.cluster is not None
    try:
        running = running_guests()
    except LibvirtError as error:
        err(f"kvmnet: what runs here is not known: {error}\n")
        running = None
    rows = [_row(definition, guest, running) for guest in definition.cluster.guests.values()]
    known = set(definition.cluster.guests)
    strangers = [name for name in running or () if name not in known]
    if as_json:
        out(json.dumps({"guests": rows, "running_unknown": strangers}, indent=2) + "\n")
        return
    for row in rows:
        place = (
            f"host {row['host']}" if row["host"] else f"group {row['group']} ({', '.join(row['hosts']) or 'no host'})"
        )
        state = "" if row["running_here"] is None else ", runs here" if row["running_here"] else ", does not run here"
        out(f"{row['guest']}: {place}{state}\n")
        for nic in row["nics"]:
            out(f"  {nic['mac']}  {nic['network']}: {_plugs(nic['ports'])}\n")
    for name in strangers:
        out(f"{name}: runs here, is not in the definition\n")


def can_move(
    guest: GuestArgument,
    host: Annotated[str, typer.Argument(help="The host that it shall go to.", show_default=False)],
    path: PathArgument = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a host has what a guest needs: bridge or tag for every NIC, with no smaller an MTU. Exit 1: no."""
    from kvmnet.core.guests.guest_migration import move_of

    definition = load_definition(path)
    assert definition.cluster is not None
    move = move_of(definition.cluster, _guest(definition, guest), _host(definition, host))
    if as_json:
        out(json.dumps(move.to_json(), indent=2) + "\n")
    else:
        out(f"{guest} {'can' if move.possible else 'cannot'} move to {host}\n")
        for nic in move.nics:
            fits = f"{nic.port.device}, MTU {nic.mtu}" if nic.port is not None else ""
            out(f"  {nic.nic.mac}  {nic.nic.network}: {nic.problem or fits}\n")
        out("".join(f"note: {note}\n" for note in move.notes))
    if not move.possible:
        raise typer.Exit(1)


def _row(definition: "Definition", guest: "Guest", running: Optional[list[str]]) -> dict[str, Any]:
    assert definition.cluster is not None
    hosts = [host.name for host in definition.cluster.hosts_of(guest)]
    nics = []
    for nic in guest.nics:
        ports = {}
        for host in hosts:
            found = [
                p for p in definition.views[host].ports_of(guest.name) if (p.mac, p.network) == (nic.mac, nic.network)
            ]
            ports[host] = [{"device": p.device, "macvtap": p.macvtap, "always": p.always} for p in found]
        nics.append({"mac": nic.mac, "network": nic.network, "ports": {h: p[0] for h, p in ports.items() if p}})
    return {
        "guest": guest.name,
        "host": guest.host,
        "group": guest.group,
        "hosts": hosts,
        "running_here": None if running is None else guest.name in running,
        "nics": nics,
    }


def _plugs(ports: dict[str, dict[str, Any]]) -> str:
    """What a NIC is plugged into, said once where it is the same on all hosts."""
    words: dict[str, list[str]] = {}
    for host, port in ports.items():
        if port["macvtap"] is None:
            what = f"bridge {port['device']}"
        else:
            what = f"macvtap on {port['device']}, {port['macvtap'] + ' from boot' if port['always'] else 'on demand'}"
        words.setdefault(what, []).append(host)
    if len(words) == 1:
        return next(iter(words))
    return "; ".join(f"{what} ({', '.join(hosts)})" for what, hosts in words.items())


def _guest(definition: "Definition", name: str) -> "Guest":
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean

    assert definition.cluster is not None
    guests = definition.cluster.guests
    if name not in guests:
        raise Usage(f"the definition has no guest {name!r}", did_you_mean(name, guests))
    return guests[name]


def _host(definition: "Definition", name: str) -> "Host":
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean

    assert definition.cluster is not None
    if name not in definition.cluster.hosts:
        raise Usage(f"the definition has no host {name!r}", did_you_mean(name, definition.hosts))
    return definition.cluster.hosts[name]


def _host_for(definition: "Definition", guest: "Guest", host: Optional[str]) -> str:
    """The host whose devices the XML names: the one asked for, else the guest's, where all give the same XML."""
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.guests import guest_xml

    assert definition.cluster is not None
    hosts = [h.name for h in definition.cluster.hosts_of(guest)]
    if host is not None:
        _host(definition, host)
        if host not in hosts:
            needs = f"`kvmnet guest can-move {guest.name} {host}` says whether it could"
            hint = f"its hosts: {', '.join(hosts) or 'none'}; {needs}"
            raise Usage(f"guest {guest.name} does not run on {host}", hint)
        return host
    if not hosts:
        raise Usage(f"guest {guest.name} runs nowhere: no host is in group {guest.group}")
    texts = {guest_xml.interfaces_xml(definition.views[name].ports_of(guest.name)) for name in hosts}
    if len(texts) > 1:
        raise Usage(
            f"the hosts of guest {guest.name} do not give the same XML", f"choose one by --host: {', '.join(hosts)}"
        )
    return hosts[0]


def _merged(name: str, ports: Sequence["GuestPortView"]) -> "Merged":
    """The domain's XML in a file (- is stdin), with these NICs; an error names the file."""
    import sys

    from kvmnet.core.guests.guest_xml import DomainError, merge
    from kvmnet.definition_files import read_file

    domain = sys.stdin.buffer.read() if name == "-" else read_file(Path(name))
    try:
        return merge(domain, ports)
    except DomainError as error:
        raise DomainError(f"{'standard input' if name == '-' else name}: {error.message}", error.hint) from None
