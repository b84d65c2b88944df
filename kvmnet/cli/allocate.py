"""`kvmnet allocate`: the next free address, MAC address or VLAN ID of the definition."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli.console import write_stdout
from kvmnet.cli.definition import load_definition
from kvmnet.cli.help import DEFINITION, CommandGroup, examples
from kvmnet.cli.options import PathArgument

if TYPE_CHECKING:
    from kvmnet.core.definition.model import Cluster

CountOption = Annotated[int, typer.Option("--count", metavar="N", min=1, max=65536, help="How many to print.")]
_BASE_HELP = (
    "IPv4 address that the first bytes are computed from, by the rule of Rocks: the public address of the cluster. "
    "Default: continue after the guests' MAC addresses."
)
BaseOption = Annotated[Optional[str], typer.Option("--base", metavar="ADDRESS", help=_BASE_HELP, show_default=False)]
NetworkArgument = Annotated[
    str, typer.Argument(metavar="NETWORK", help="Name of a network in the definition.", show_default=False)
]

group = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Print the next free IP address, MAC address or VLAN ID. Nothing is written.",
)


class Family(str, Enum):
    """IP versions."""

    ipv4 = "4"
    ipv6 = "6"


FamilyOption = Annotated[
    Optional[Family],
    typer.Option("--family", help="IP version. Default: that of the network's first subnet.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    if not group.registered_commands:
        group.command("ip", epilog=examples("kvmnet allocate ip private", "kvmnet allocate ip private --count 3"))(ip)
        group.command("mac", epilog=examples("kvmnet allocate mac --count 2"))(mac)
        group.command("tag", epilog=examples("kvmnet allocate tag cluster.yaml"))(tag)
    app.add_typer(group, name="allocate", rich_help_panel=DEFINITION)


def ip(
    network: NetworkArgument, path: PathArgument = None, count: CountOption = 1, family: FamilyOption = None
) -> None:
    """Print the next free addresses of a network.

    IPv4 addresses are given from the top of the subnet down, as Rocks does; IPv6 addresses from the bottom up.
    """
    from kvmnet.core.allocation import find_free_addresses

    _print(find_free_addresses(_load(path), network, count, int(family.value) if family else None))


def mac(path: PathArgument = None, count: CountOption = 1, base: BaseOption = None) -> None:
    """Print the next MAC addresses for guests: those after the highest one in use."""
    from kvmnet.core.allocation import find_free_macs

    _print(find_free_macs(_load(path), count, base))


def tag(path: PathArgument = None, count: CountOption = 1) -> None:
    """Print the next free VLAN IDs, from 2 to 4094."""
    from kvmnet.core.allocation import find_free_tags

    _print(find_free_tags(_load(path), count))


def _load(path: Optional[str]) -> "Cluster":
    cluster = load_definition(path).cluster
    assert cluster is not None
    return cluster


def _print(values: list[str]) -> None:
    write_stdout("".join(value + "\n" for value in values))
