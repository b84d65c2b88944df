"""Which interfaces belong to kvmnet."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kvmnet import resources
from kvmnet.core.live.live_host import Owned
from kvmnet.core.planning.ownership import (
    choose_profile_uuid,
    find_owned_after,
    make_ownership_record,
    ownership_record_from_json,
    ownership_record_to_json,
    profile_uuid,
)
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import MAC, after, bare, before, with_leaving


@pytest.mark.guarantee("G50")
def test_an_interface_that_only_has_the_name_of_a_created_one_stays(bundle: Bundle) -> None:
    """Another tool deleted the bridge and created one of the same name, or a link of another kind."""
    live = with_leaving(bundle)
    theirs = {**live.profiles, "br5": replace(live.profiles["br5"], uuid="u-theirs")}
    assert make_plan(bundle, replace(live, profiles=theirs)).leaving == ("peth0.5",)
    bond = {**live.links, "br5": replace(live.links["br5"], kind="bond")}
    assert make_plan(bundle, replace(live, links=bond)).leaving == ("peth0.5",)
    gone = {name: link for name, link in live.links.items() if name != "br5"}
    assert make_plan(bundle, replace(live, links=gone)).leaving == ("peth0.5",)


def test_the_record_after_a_first_apply_and_after_an_adoption(bundle: Bundle) -> None:
    uuid = profile_uuid(bundle.host, "eth0")
    assert find_owned_after(bundle, before())["eth0"] == Owned("linux-bridge", True, uuid)
    assert find_owned_after(bundle, before())["peth0"].made is False
    existing = replace(after(bundle), owned={})
    assert find_owned_after(bundle, existing)["eth0"].made is False, "it existed before"
    again = replace(after(bundle), owned={"eth0": Owned("linux-bridge", True, uuid)})
    assert find_owned_after(bundle, again)["eth0"].made is True
    profile = replace(after(bundle).profiles["eth0"], uuid=uuid)
    lost = replace(existing, profiles={"eth0": profile})
    assert find_owned_after(bundle, lost)["eth0"].made is True, "its profile shows it, although the record is lost"
    note = make_ownership_record(bundle, before())
    assert (note.owned["eth0"].uuid, note.state, note.first_names) == (uuid, bundle.state, {MAC: "eth0"})
    assert ownership_record_from_json(json.loads(json.dumps(ownership_record_to_json(note)))) == note
    later = replace(after(bundle), owned=note.owned, first_names=note.first_names)
    assert make_ownership_record(replace(bundle, host="another"), later).owned["eth0"].uuid == uuid, (
        "its profile still has it"
    )
    assert make_ownership_record(bundle, later).first_names == {MAC: "eth0"}


def test_the_record_has_the_settings_of_profiles_and_older_records_have_none(bundle: Bundle) -> None:
    settings = {"eth0": {"bridge.vlan-filtering": True}}
    note = make_ownership_record(replace(bundle, profile_settings=settings), before())
    data = json.loads(json.dumps(ownership_record_to_json(note)))
    assert data["profile-settings"] == settings
    assert ownership_record_from_json(data) == note
    del data["profile-settings"]
    assert ownership_record_from_json(data) == replace(note, settings={})
    assert "profile-settings" not in ownership_record_to_json(make_ownership_record(bundle, before()))


def test_the_record_may_have_every_type_that_a_rendered_state_has() -> None:
    types = resources.read_schema("state")["$defs"]["interface"]["properties"]["type"]["enum"]
    assert {"ethernet", "dummy", "loopback"} <= set(types)
    rows = {f"i{n}": {"type": kind, "made": False, "uuid": ""} for n, kind in enumerate(types)}
    assert {o.type for o in ownership_record_from_json({"interfaces": rows}).owned.values()} == set(types)
    with pytest.raises(ValueError):
        ownership_record_from_json({"interfaces": {"tun0": {"type": "tun", "made": False, "uuid": ""}}})


def test_a_new_profile_has_another_uuid_than_a_removed_one_of_its_name() -> None:
    live = replace(bare(), owned={"eth0.5": Owned("linux-bridge", True, profile_uuid("host", "eth0.5"))})
    assert choose_profile_uuid("host", "eth0.5", "vlan", live) != profile_uuid("host", "eth0.5")
    assert choose_profile_uuid("host", "eth0.5", "linux-bridge", live) == profile_uuid("host", "eth0.5")
    assert choose_profile_uuid("other", "eth0.5", "vlan", live) == profile_uuid("other", "eth0.5")
