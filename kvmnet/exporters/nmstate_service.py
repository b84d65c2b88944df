"""Exports a state for /etc/nmstate of each host, which nmstate.service applies at boot."""

from __future__ import annotations

from collections.abc import Sequence

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.yaml_writer import to_yaml
from kvmnet.exporters import Exporter, File, Files, Group, Options
from kvmnet.exporters._plain_nmstate import require_plain_states

#: nmstate.service applies the files of /etc/nmstate in the order of their names.
FILE_NAME = "50-kvmnet.yml"
_HEADER = """\
# nmstate state of host {host}, cluster {cluster}. Written by kvmnet export nmstate-service.
# Copy it to /etc/nmstate/{name}. nmstate.service applies it at the next boot, without probes, and only logs a failure.
"""


def export_states(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return HOST/50-kvmnet.yml for each host. Raises CannotExport for a host that nmstate alone cannot configure."""
    require_plain_states(bundles, "nmstate.service")
    return {
        f"{bundle.host}/{FILE_NAME}": File(
            _HEADER.format(host=bundle.host, cluster=bundle.cluster, name=FILE_NAME) + "---\n" + to_yaml(bundle.state),
            0o600,
        )
        for bundle in bundles
    }


EXPORTER = Exporter(
    name="nmstate-service",
    help="A state for /etc/nmstate of each host, which nmstate.service applies at boot.",
    function=export_states,
)
