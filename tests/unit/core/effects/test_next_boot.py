"""What a change alters at the next boot, from the files as saving will leave them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.boot.boot_files import RUN_FOLDER
from kvmnet.core.boot.outcome import CREATED, NOTHING, PROFILE
from kvmnet.core.boot.stored_profile import StoredProfile
from kvmnet.core.effects.next_boot import NextBoot, foresee_next_boot
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.boot.samples import NICS, boot_files, stored
from tests.unit.core.samples import KEYFILES, after, before, notes_of, refusals_of

ETH0 = stored("eth0", "u-1", "interface-name=eth0", groups="[ipv4]\naddress1=10.1.255.254/16\n")
ETH1 = stored("eth1", "u-2", "interface-name=eth1", groups="[ipv4]\nmethod=auto\n")
#: One profile for every NIC (multi-connect=multiple).
SHARED = stored("default", "u-1", "multi-connect=3", groups="[ipv4]\nmethod=auto\n")


def host(*profiles: StoredProfile, active: dict[str, str] | None = None, **parts: Any) -> Live:
    """Return a host before kvmnet with a second NIC and these keyfiles; `active` are the active profiles (UUIDs)."""
    live = before()
    in_use = {"eth0": "u-1", **(active or {})}
    files = boot_files(*profiles, active=in_use, **parts)
    known = files.effective
    return replace(
        live,
        links={**live.links, "eth1": Link("eth1", NICS[1], None)},
        profiles={name: live_profile(known[uuid], name) for name, uuid in in_use.items() if uuid in known},
        idle=tuple(live_profile(p, "") for p in known.values() if p.uuid not in in_use.values()),
        boot=files,
    )


def live_profile(profile: StoredProfile, device: str) -> ConnectionProfile:
    """Return the profile as NetworkManager reports it."""
    match = ",".join(profile.match.get("interface-name", ()))
    return ConnectionProfile(
        profile.uuid, profile.id, profile.type, device, profile.file, profile.interface_name, match=match
    )


def foreseen(bundle: Bundle, live: Live, *, copies: bool = True) -> NextBoot:
    """Return what is foreseen, and check that files and plan alone decide it. Without `copies`, a profile that serves
    several NICs or has a pattern would be bound to its NIC."""
    found = foresee_next_boot(plan_of(bundle, live, copies=copies), live)
    assert found is not None
    return found


def plan_of(bundle: Bundle, live: Live, *, copies: bool = True) -> Plan:
    plan = make_plan(bundle, live)
    return plan if copies else replace(plan, copies={})


def messages_of(bundle: Bundle, live: Live, code: str, *, copies: bool = True) -> list[str]:
    return [r.message for r in refusals_of(plan_of(bundle, live, copies=copies), live) if r.code == code]


def test_each_interface_gets_its_own_profile_and_other_nics_keep_theirs(bundle: Bundle) -> None:
    found = foreseen(bundle, host(ETH0, ETH1))
    assert {name: own.is_right for name, own in found.own.items()} == {"peth0": True, "eth0": True}
    assert (found.after["peth0"].uuid, found.after["peth0"].controller) == ("u-1", "eth0")
    assert (found.foreign, found.changes) == (("eth1",), [])
    assert found.before["eth0"].uuid == "u-1", "before the rename"


def test_without_the_files_nothing_is_foreseen(bundle: Bundle) -> None:
    live = replace(host(ETH0), boot=None)
    assert foresee_next_boot(make_plan(bundle, live), live) is None
    assert messages_of(bundle, live, "KVN552") == []


@pytest.mark.guarantee("G66")
def test_a_profile_for_several_nics_is_copied_and_stays_for_the_others(bundle: Bundle) -> None:
    live = host(SHARED, active={"eth1": "u-1"})
    found = foreseen(bundle, live)
    assert found.changes == []
    assert found.after["eth1"].uuid == "u-1"
    own = found.own["peth0"]
    assert (own.is_right, own.uuid) == (True, make_plan(bundle, live).copies["peth0"].uuid)


def test_a_profile_for_several_nics_that_is_bound_to_one_takes_it_from_the_others(bundle: Bundle) -> None:
    live = host(SHARED, active={"eth1": "u-1"})
    [change] = foreseen(bundle, live, copies=False).changes
    assert (change.before.uuid, change.after.kind) == ("u-1", CREATED)
    [message] = messages_of(bundle, live, "KVN552", copies=False)
    assert message == (
        "eth1 is not in the definition, but the change alters what it gets at the next boot; now: the connection "
        "profile default (IPv4: auto, IPv6: auto). After the change: a connection profile that NetworkManager creates "
        "(DHCP)"
    )


def test_doubts_are_a_sentence_of_their_own(bundle: Bundle) -> None:
    shared = stored("default", "u-1", "multi-connect=3", groups="[match]\ndriver=virtio*;\n")
    [message] = messages_of(bundle, host(shared, active={"eth1": "u-1"}), "KVN552", copies=False)
    results, doubts = message.split(". This is not certain: ")
    assert results.endswith(
        "; now: the connection profile default (IPv4: auto, IPv6: auto). After the change: a connection profile that "
        "NetworkManager creates (DHCP)"
    )
    assert doubts == "whether default fits eth1 is not known (match.driver or match.path)"


def test_a_nic_that_gets_the_usual_profile_instead_of_none_is_a_note(bundle: Bundle) -> None:
    """The unbound profile fits both NICs, and only one of them can have it."""
    live = host(stored("office", "u-1"))
    [change] = foreseen(bundle, live).changes
    assert (change.before.interface, change.before.kind, change.after.kind) == ("eth1", NOTHING, CREATED)
    assert messages_of(bundle, live, "KVN552") == []
    assert any(
        "eth1 has no connection profile: at the next boot NetworkManager creates one for it (DHCP)" in note
        for note in notes_of(plan_of(bundle, live), live)
    )


def test_a_pattern_that_does_not_match_the_new_name_is_not_in_the_copy(bundle: Bundle) -> None:
    pattern = stored("netplan-uplink", "u-1", groups="[match]\ninterface-name=eth*;!eth1;\n")
    live = host(pattern, ETH1)
    assert foreseen(bundle, live).own["peth0"].is_right
    assert messages_of(bundle, live, "KVN553") == []


def test_a_profile_that_netplan_writes_at_boot_does_not_replace_the_copy(bundle: Bundle) -> None:
    """Whether it fits the new name or not: the copy has the higher priority."""
    for line in ("interface-name=eth0", "interface-name=peth0"):
        netplan = replace(stored("eth0", "u-1", line), file=f"{RUN_FOLDER}/netplan-eth0.nmconnection", regenerated=True)
        live = host(netplan)
        assert foreseen(bundle, live).own["peth0"].is_right
        own = foreseen(bundle, live, copies=False).own["peth0"]
        assert own.is_right is False
    [message] = messages_of(bundle, live, "KVN553", copies=False)
    assert message.startswith("at the next boot, peth0 would not get its connection profile as a port of eth0, but ")


def test_an_unmanaged_interface_does_not_come_up(bundle: Bundle) -> None:
    live = host(ETH0, ETH1)
    assert live.boot is not None
    settings = replace(live.boot.settings, sections={"keyfile": {"unmanaged-devices": "interface-name:eth0"}})
    live = replace(live, boot=replace(live.boot, settings=settings))
    assert foreseen(bundle, live).own["eth0"].is_right is False


def test_a_profile_of_a_higher_priority_is_reported_once(bundle: Bundle) -> None:
    rival = stored("office", "u-9", "autoconnect-priority=5")
    live = host(ETH0, ETH1, rival)
    live = replace(live, idle=tuple(replace(p, priority=5) for p in live.idle if p.uuid == "u-9"))
    codes = [r.code for r in refusals_of(make_plan(bundle, live), live)]
    assert "KVN535" in codes and "KVN553" not in codes


def test_interfaces_that_are_removed_or_down_are_not_there_at_the_next_boot(bundle: Bundle) -> None:
    vlan = stored("eth0.7", "u-7", "interface-name=eth0.7", type="vlan", groups="[vlan]\nparent=eth0\nid=7\n")
    br9 = stored("br9", "u-9", "interface-name=br9", type="bridge")
    live = host(ETH0, ETH1, vlan, br9, active={"eth0.7": "u-7"})
    plan = replace(make_plan(bundle, live), leaving=("eth0.7",), down={"br9": "u-9"})
    found = foresee_next_boot(plan, live)
    assert found is not None
    assert (found.before["eth0.7"].kind, found.before["br9"].kind) == (PROFILE, PROFILE)
    assert not {"eth0.7", "br9"} & set(found.after)
    down = Plan(bundle, state={"interfaces": [{"name": "eth1", "type": "ethernet", "state": "down"}]})
    found = foresee_next_boot(down, replace(live, profiles={**live.profiles, "eth1": live_profile(ETH1, "eth1")}))
    assert found is not None and found.after["eth1"].kind == NOTHING


def test_a_profile_that_is_only_in_memory_is_saved_by_the_change(bundle: Bundle) -> None:
    live = host(ETH1)
    profile = replace(
        live_profile(ETH0, "eth0"), file=f"{RUN_FOLDER}/eth0.nmconnection", match="peth*", mac="", interface_name=""
    )
    live = replace(live, profiles={"eth0": profile})
    own = foreseen(bundle, live).own["peth0"]
    assert own.is_right and own.outcome.file.startswith("/etc/")


def test_an_inactive_nic_that_is_not_changed(bundle: Bundle) -> None:
    """It has no carrier. Its profile is known only by its binding to the NIC."""
    live = kept(bundle)
    without = {name: profile for name, profile in live.profiles.items() if name != "peth0"}
    unplugged = replace(live, profiles=without)
    assert set(foreseen(bundle, unplugged).own) == {"eth0"}
    assert unplugged.boot is not None
    bound = replace(live_profile(unplugged.boot.effective["u-peth0"], ""), interface_name="", mac=NICS[0])
    found = foreseen(bundle, replace(unplugged, idle=(bound,)))
    assert found.own["peth0"].is_right and found.own["peth0"].uuid == "u-peth0"


def test_an_interface_without_a_change_keeps_what_its_file_says(bundle: Bundle) -> None:
    live = kept(bundle)
    found = foreseen(bundle, live)
    assert {name: own.is_right for name, own in found.own.items()} == {"peth0": True, "eth0": True}


def kept(bundle: Bundle) -> Live:
    """Return the host after the change."""
    port = ("interface-name=peth0", "controller=eth0", "port-type=bridge")
    profiles = (
        stored("peth0", "u-peth0", *port, groups=f"[ethernet]\nmac-address={NICS[0]}\n"),
        stored("eth0", "u-eth0", "interface-name=eth0", type="bridge"),
    )
    files = boot_files(*profiles, active={"peth0": "u-peth0", "eth0": "u-eth0"})
    files = replace(files, nics=(replace(files.nics[0], name="peth0"),))
    return replace(after(bundle), profiles={p.id: live_profile(p, p.id) for p in profiles}, boot=files)


def test_what_the_next_boot_takes_away_anyway_is_a_note(bundle: Bundle) -> None:
    off = stored("eth1", "u-2", "interface-name=eth1", "autoconnect=false")
    live = host(ETH0, off, active={"eth1": "u-2"})
    [note] = notes_of(make_plan(bundle, live), live)
    assert note == (
        "eth1 has the connection profile eth1 now, but gets no connection profile at the next boot; the change does "
        "not alter this"
    )
    live = host(ETH0, ETH1, active={"eth1": "u-2"})
    assert notes_of(make_plan(bundle, live), live) == []


def test_a_profile_that_networkmanager_creates_again_is_no_note(bundle: Bundle) -> None:
    live = host(ETH0)
    created = ConnectionProfile("u-w", "Wired connection 1", "802-3-ethernet", "eth1", f"{RUN_FOLDER}/w.nmconnection")
    live = replace(live, profiles={**live.profiles, "eth1": created})
    assert notes_of(make_plan(bundle, live), live) == []
    saved = replace(created, file=f"{KEYFILES}/w.nmconnection", interface_name="eth1")
    live = replace(live, profiles={**live.profiles, "eth1": saved})
    assert len(notes_of(make_plan(bundle, live), live)) == 1
