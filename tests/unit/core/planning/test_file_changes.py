"""Files that a plan writes and removes."""

from __future__ import annotations

from dataclasses import replace

from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import MAC, after


def test_a_stale_link_file_is_removed(bundle: Bundle) -> None:
    """Files for an older name of a NIC and for a NIC that is gone are removed, other tools' files are not."""
    written = "# Written by kvmnet: interface x is the NIC x.\n[Match]\nPermanentMACAddress={}\n"
    files = {
        "00-kvmnet-eth0.link": written.format(MAC),
        "00-kvmnet-gone.link": written.format("00:00:00:00:00:66"),
        "00-kvmnet-theirs.link": "[Match]\nPermanentMACAddress=00:00:00:00:00:66\n",
    }
    live = after(bundle)
    assert not make_plan(bundle, live).changes_link_files(live)
    live = replace(live, link_files={**live.link_files, **files})
    plan = make_plan(bundle, live)
    assert plan.changes_link_files(live)
    assert plan.stale_files == ("00-kvmnet-eth0.link", "00-kvmnet-gone.link")
    assert [(c.kind, c.name.rpartition("/")[2]) for c in plan.changes] == [
        ("remove", name) for name in plan.stale_files
    ]
