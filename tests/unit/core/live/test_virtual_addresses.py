"""Which addresses are virtual, and that the live state is compared without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.live.live_host import Live
from kvmnet.core.live.virtual_addresses import (
    Claim,
    VirtualAddress,
    find_ctdb_addresses,
    find_keepalived_addresses,
    find_pacemaker_addresses,
    separate_virtual,
    stated_addresses,
    with_virtual,
)
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import after, before

KEEPALIVED = """\
! Configuration File for keepalived
$SERVICE=10.1.1.205
static_ipaddress {
    10.1.1.190/24 brd 10.1.1.255 dev eth0 scope global
}
vrrp_instance VI_1 {
    interface eth0   # the NIC
    unicast_src_ip 10.1.255.254
    unicast_peer {
        10.1.255.253
    }
    virtual_ipaddress {
        10.1.1.200
        10.1.1.201/24 brd 10.1.1.255 dev eth0 label eth0:1
        # 10.1.1.202
        @main 10.1.1.203/32 peer 10.1.1.204
        ${SERVICE}/32
        fd00:0::00c8/64
    }
    virtual_ipaddress_excluded { 10.1.1.206 10.1.1.207 }
    virtual_routes {
        10.9.0.0/16 via 10.1.1.208 dev eth0
    }
}
virtual_server 10.1.1.209 443 {
    real_server 10.1.1.210 443 { }
}
"""
CIB = """\
<cib><configuration><resources>
  <primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2">
    <instance_attributes id="a"><nvpair id="b" name="ip" value="10.1.1.211"/><nvpair id="c" name="nic" value="eth0"/>
    </instance_attributes></primitive>
  <template id="t" type="IPv6addr"><instance_attributes id="d"><nvpair id="e" name="ipv6addr" value="fd00::d3/64"/>
    </instance_attributes></template>
  <primitive id="fence" class="stonith" type="fence_ipmilan">
    <instance_attributes id="f"><nvpair id="g" name="ip" value="10.1.1.212"/></instance_attributes></primitive>
</resources></configuration></cib>
"""


def test_keepalived_claims_its_virtual_and_static_addresses() -> None:
    """Not the addresses of peers, broadcasts, routes and servers of LVS."""
    assert list(find_keepalived_addresses(KEEPALIVED)) == [
        *("10.1.1.190", "10.1.1.200", "10.1.1.201", "10.1.1.203", "10.1.1.205", "fd00::c8", "10.1.1.206", "10.1.1.207")
    ]


def test_a_block_may_open_on_the_next_line() -> None:
    assert list(find_keepalived_addresses("virtual_ipaddress\n{\n10.1.1.200\n}\n10.1.1.201\n")) == ["10.1.1.200"]


def test_pacemaker_claims_the_addresses_of_its_address_agents() -> None:
    assert list(find_pacemaker_addresses(CIB)) == ["10.1.1.211", "fd00::d3"]
    assert list(find_pacemaker_addresses("<cib>")) == []


def test_ctdb_claims_its_public_addresses() -> None:
    assert list(find_ctdb_addresses("10.1.1.213/16 eth0\n# 10.1.1.214/16 eth0\n\n")) == ["10.1.1.213"]


def interface(name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    family = {
        "enabled": bool(addresses),
        "address": [{"ip": a.split("/")[0], "prefix-length": int(a.split("/")[1])} for a in addresses],
    }
    return {"name": name, "type": "ethernet", "state": "up", "ipv4": family, **more}


CLAIM = Claim("10.1.1.200", "keepalived")


def test_a_claimed_address_is_separated_and_can_be_put_back() -> None:
    state = {"interfaces": [interface("lo"), interface("eth0", "10.1.255.254/16", "10.1.1.200/32")]}
    rest, virtual = separate_virtual(state, [CLAIM], {}, set())
    assert rest["interfaces"][1] == interface("eth0", "10.1.255.254/16")
    assert virtual == (VirtualAddress("eth0", "10.1.1.200/32", "keepalived"),) and virtual[0].ip == "10.1.1.200"
    assert with_virtual(rest, virtual) == state
    assert with_virtual(rest, ()) is rest


def test_an_address_that_a_service_marked_is_virtual_on_that_interface() -> None:
    state = {"interfaces": [interface("eth0", "10.1.1.200/32"), interface("eth1", "10.1.1.200/32")]}
    rest, virtual = separate_virtual(state, [], {("eth0", "10.1.1.200"): "keepalived"}, set())
    assert virtual == (VirtualAddress("eth0", "10.1.1.200/32", "keepalived"),)
    assert stated_addresses({"interfaces": rest["interfaces"][1:]}) == {"10.1.1.200"}


@pytest.mark.parametrize("own", [{"10.1.1.200"}, {"10.1.1.200", "10.1.1.201"}])
def test_an_own_address_is_never_virtual(own: set[str]) -> None:
    state = {"interfaces": [interface("eth0", "10.1.1.200/32")]}
    assert separate_virtual(state, [CLAIM], {("eth0", "10.1.1.200"): "x"}, own) == (state, ())


def test_a_family_with_nothing_but_a_virtual_address_counts_as_disabled() -> None:
    """nmstate calls it enabled, which would be drift where the definition disables it."""
    state = {"interfaces": [interface("eth0", "10.1.1.200/32")]}
    assert separate_virtual(state, [CLAIM], {}, set())[0]["interfaces"][0]["ipv4"] == {"enabled": False}
    state["interfaces"][0]["ipv4"]["dhcp"] = True
    assert separate_virtual(state, [CLAIM], {}, set())[0]["interfaces"][0]["ipv4"]["enabled"] is True


def as_read(live: Live, name: str, *claims: Claim) -> Live:
    """The host with the virtual address on an interface, as read_live reads it."""
    state = with_virtual(live.state, (VirtualAddress(name, "10.1.1.200/32", "x"),))
    rest, virtual = separate_virtual(state, claims, {}, set())
    return replace(live, state=rest, virtual=virtual, claims=claims)


def test_a_virtual_address_is_no_drift(bundle: Bundle) -> None:
    assert make_plan(bundle, as_read(after(bundle), "eth0", CLAIM)).empty
    by_hand = make_plan(bundle, as_read(after(bundle), "eth0"))
    assert [change.name for change in by_hand.changes] == ["eth0"], "an address set by hand still is"


def test_the_state_of_now_has_the_virtual_address() -> None:
    live = as_read(before(), "eth0", CLAIM)
    assert "10.1.1.200" not in stated_addresses(live.state)
    assert "10.1.1.200" in stated_addresses(live.state_with_virtual)
    assert live.virtual_ips == ("10.1.1.200",)
    assert replace(live, virtual=()).virtual_ips == ("10.1.1.200",), "also while another node has it"


def test_a_reading_keeps_them_in_its_json_form() -> None:
    live = as_read(before(), "eth0", CLAIM)
    assert Live.from_json(live.to_json()) == replace(live, temporary=())
