"""What exporters to plain nmstate have in common: such a format cannot express everything that `kvmnet apply` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.base.profile_settings import VLAN_FILTERING
from kvmnet.core.rendering.bundle import Bundle


class CannotExport(KvmnetError):
    """A format cannot express a host. The message names every host with the reason."""


def require_plain_states(bundles: Sequence[Bundle], name: str) -> None:
    """Raise CannotExport unless nmstate alone can do what the bundles state. `name` is the format."""
    reasons = [f"host {bundle.host}: {reason}" for bundle in bundles for reason in find_reasons(bundle)]
    if reasons:
        raise CannotExport(
            f"{name} cannot express everything: " + "; ".join(reasons),
            "apply the host with `kvmnet apply`, or export the others with --host",
        )


def find_reasons(bundle: Bundle) -> Iterator[str]:
    """Yield why nmstate alone cannot do what a bundle states."""
    renamed = [f"{nic.interface} to {nic.name}" for nic in bundle.nics if nic.link_file and nic.name != nic.interface]
    if renamed:
        yield f"nmstate cannot rename NICs ({', '.join(renamed)})"
    filtering = {  # nmstate turns VLAN filtering on for a bridge of which a port has VLANs
        i["name"] for i in interfaces_of(bundle.state) if any("vlan" in p for p in i.get("bridge", {}).get("port", []))
    }
    for interface, settings in bundle.profile_settings.items():
        derived = {VLAN_FILTERING.name: True} if interface in filtering else {}
        if names := sorted(name for name, value in settings.items() if derived.get(name) != value):
            yield f"nmstate has no key for {', '.join(names)} of {interface}"
    if bundle.guests is not None:
        yield "its guests' devices exist on demand, which needs kvmnet's hook (attach: always makes them permanent)"
