"""Steps that name NICs: .link files, alternative names, zones."""

from __future__ import annotations

from dataclasses import replace

from kvmnet.core.planning.plan import make_plan
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import touched_files
from tests.unit.core.samples import before
from tests.unit.transaction.samples import BUNDLE, compile_sample


def test_without_firewalld_no_zone_is_bound() -> None:
    assert "zone" not in [s["op"] for s in compile_sample(zones=False)]


def test_alternative_names_of_a_nic_that_keeps_its_name_are_restored() -> None:
    """A boot with kvmnet's .link file removes them."""
    live = before()
    profile = replace(live.profiles["eth0"], device="peth0", interface_name="peth0")
    live = replace(
        live,
        links={"peth0": replace(live.links["eth0"], name="peth0")},
        profiles={"peth0": profile},
        state={"interfaces": [{**live.state["interfaces"][1], "name": "peth0"}]},
    )
    compiled = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    kept = next(s for s in compiled if s["title"] == "write the .link files to /etc (permanent)")
    assert kept["undo"][1] == {"op": "rename", "mac": "00:14:4f:80:de:00", "to": "peth0", "altnames": ["enp1s0"]}


def test_a_stale_link_file_never_takes_effect_and_is_removed() -> None:
    """00-kvmnet-eth0.link sorts before 00-kvmnet-peth0.link; while it is in /etc, ours in /run must sort earlier."""
    live = before()
    old = BUNDLE.links["00-kvmnet-peth0.link"].replace("Name=peth0", "Name=eth0")
    live = replace(live, link_files={"00-kvmnet-eth0.link": old})
    compiled = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    early, late = (s for s in compiled if s.get("reload") == "udev")
    assert list(early["files"]) == ["/run/systemd/network/00-kvmnet--peth0.link"]
    assert "00-kvmnet--peth0.link" < "00-kvmnet-eth0.link" < "00-kvmnet-peth0.link"
    assert compiled[1]["macs"] == {"00:14:4f:80:de:00": "00-kvmnet--peth0.link"}
    assert list(late["files"]) == ["/etc/systemd/network/00-kvmnet-peth0.link"]
    gone = ["/etc/systemd/network/00-kvmnet-eth0.link", "/run/systemd/network/00-kvmnet--peth0.link"]
    assert late["remove"] == gone
    assert set(gone) <= set(touched_files(compiled))
