"""Arguments and options that several commands have, and what their values mean."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from kvmnet.core.base.errors import Usage

_PATH_HELP = (
    "The definition: a file, or a folder of YAML files. "
    "Default: cluster.yaml, or else cluster.d, in the current folder."
)
PathArgument = Annotated[Optional[str], typer.Argument(metavar="PATH", help=_PATH_HELP, show_default=False)]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
JsonEventsOption = Annotated[bool, typer.Option("--json", help="Print events as JSON, one per line, instead of text.")]

_BUNDLE_HELP = "Use the folder that `kvmnet render -o` wrote for this host, instead of a definition."
BundleOption = Annotated[Optional[str], typer.Option("--bundle", metavar="DIR", help=_BUNDLE_HELP)]

_HOST_HELP = (
    "Name of this host in the definition. "
    "Needed only if kvmnet cannot find it by the NICs' MAC addresses or the hostname."
)
HostOption = Annotated[Optional[str], typer.Option("--host", metavar="HOST", help=_HOST_HELP)]

_ALLOW_HELP = "Override the refusal with this code. `kvmnet explain CODE` shows if this is possible. May be repeated."
AllowOption = Annotated[Optional[list[str]], typer.Option("--allow", metavar="CODE", help=_ALLOW_HELP)]

_GUEST_LOSS_HELP = "Allow the change to disconnect this running guest permanently. May be repeated."
GuestLossOption = Annotated[
    Optional[list[str]], typer.Option("--allow-guest-loss", metavar="GUEST", help=_GUEST_LOSS_HELP)
]

_ADOPT_HELP = (
    "Permit kvmnet to take over existing bridges, bonds and VLANs of the definition that another tool created. "
    "Needed once."
)
AdoptOption = Annotated[bool, typer.Option("--adopt", help=_ADOPT_HELP)]

_CONFIRM_HELP = (
    "Seconds to wait for `kvmnet confirm` over a new SSH connection. "
    "Without confirmation in time, the change is rolled back. "
    "Default: 120 if {condition}; otherwise no confirmation is needed."
)
ConfirmOption = Annotated[
    Optional[int],
    typer.Option(
        "--confirm-within",
        metavar="SECONDS",
        min=10,
        max=3600,
        help=_CONFIRM_HELP.format(condition="the change affects the interface that your SSH connection uses"),
    ),
]
ConfirmRemovalOption = Annotated[
    Optional[int],
    typer.Option(
        "--confirm-within",
        metavar="SECONDS",
        min=10,
        max=3600,
        help=_CONFIRM_HELP.format(condition="you are connected over SSH"),
    ),
]
NoConfirmOption = Annotated[bool, typer.Option("--no-confirm", help="Do not wait for `kvmnet confirm`.")]

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before the change. Without a terminal, kvmnet never asks.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan and its steps, and change nothing.")]

_TIMEOUT_HELP = (
    "Timeout of NetworkManager's checkpoint, in seconds. "
    "When it expires, NetworkManager rolls back its part of the change, even without kvmnet. Default: 120."
)
TimeoutOption = Annotated[
    int, typer.Option("--timeout", metavar="SECONDS", min=20, max=3600, help=_TIMEOUT_HELP, show_default=False)
]
DEFAULT_TIMEOUT = 120
"""Seconds, of --timeout."""


def read_allowed_codes(allow: Optional[list[str]]) -> frozenset[str]:
    """Return the codes of --allow. Raises Usage for one that does not exist or cannot be overridden."""
    if not allow:
        return frozenset()
    from kvmnet.core.refusals import parse_allowed_codes

    return parse_allowed_codes(allow)


def read_confirm_seconds(confirm_within: Optional[int], no_confirm: bool) -> Optional[int]:
    """Return for how many seconds to wait for `kvmnet confirm`: 0 for not at all, None for the default.

    Raises Usage when both options are given.
    """
    if no_confirm and confirm_within is not None:
        raise Usage("--confirm-within and --no-confirm cannot be used together", "give one of them")
    return 0 if no_confirm else confirm_within
