"""Every kind of management interface (tests/machines/host_kinds.py).

A change with a silent gateway is rolled back. The correct one is kept: new connections over it are answered with
default zone drop, and a second apply has nothing to do. Rolled back after everything was written, the host is as
before.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import injection
from tests.machines import host_kinds, neighbour, picture
from tests.machines.host_kinds import WAYS, Way, whole
from tests.machines.machine import Machine
from tests.machines.outage import reachable

pytestmark = pytest.mark.make_test()


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    with host_kinds.host_and_peer(generation) as pair:
        yield pair


@pytest.fixture(params=WAYS)
def way(machines: tuple[Machine, Machine], request: pytest.FixtureRequest) -> Way:
    return host_kinds.lay_out(*machines, WAYS[request.param])


@pytest.mark.guarantee("G13", "G35")
def test_a_change_of_the_management_path(machines: tuple[Machine, Machine], way: Way) -> None:
    host, peer = machines
    before = whole(host)
    told = neighbour.listen(peer, "eth0")

    result = host.run(f"kvmnet apply --yes {way.allow} /root/mistaken.yaml", check=False, timeout=240)
    assert (result.code, "no reply from" in result.stdout) == (3, True), result
    assert whole(host) == before
    assert reachable(peer, way.address)
    announced = [line.split()[1] for line in told.stop().stdout.splitlines() if line.startswith(f"{way.address} ")]
    # NetworkManager recreates the bond with another MAC at first, and announces that one too
    if "bond0" in way.profiles:
        assert announced[-1:] == [before["links"]["bond0"]["address"]], announced

    result = host.run(f"kvmnet apply --yes {way.allow} /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    assert reachable(peer, way.address), "a new connection is not answered: in which zone is it?"
    found = {name: held for name, held in picture.all_addresses(host).items() if held}
    assert found == {way.top: [f"{way.address}/{way.prefix}"]}
    assert picture.link(host, way.top)["linkinfo"]["info_kind"] == "bridge"
    assert (
        host.run("kvmnet apply /root/cluster.yaml").stdout
        == "managed: nothing to do: the host matches the definition\n"
    )

    injection.reopen_last(host)
    result = host.run("/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz", check=False, timeout=180)
    assert result.code == 3, result
    assert whole(host) == before
    assert reachable(peer, way.address)


@pytest.mark.guarantee("G13", "G35")
def test_a_removal_deletes_global_name_servers(machines: tuple[Machine, Machine]) -> None:
    """nmstate makes name servers global if no interface has addresses for them."""
    host, peer = machines
    way = host_kinds.lay_out(host, peer, WAYS["a bond becomes a port of a bridge"])
    before = whole(host)
    result = host.run(f"kvmnet apply --yes {way.allow} /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    host.run("grep -q servers= /var/lib/NetworkManager/NetworkManager-intern.conf")
    result = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert result.code == 0, result
    assert whole(host) == before
    host.run("! grep -q servers= /var/lib/NetworkManager/NetworkManager-intern.conf")
    assert reachable(peer, way.address)
