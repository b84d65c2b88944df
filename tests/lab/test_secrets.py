"""A NIC with 802.1X: its password stays in its connection profile, and kvmnet writes it nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import injection
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import UUID, host_and_peer, keyfile, seed_host
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

PASSWORD = "hush-Lab-4711"
#: No authenticator is on the wire: the NIC waits for one for a short time, then continues.
LOGIN = f"""[802-1x]
auth-timeout=2
eap=peap;
identity=lab
optional=true
password={PASSWORD}
phase2-auth=mschapv2

[ipv4]
"""
HELD = f"nmcli --show-secrets --get-values 802-1x.identity,802-1x.password connection show {UUID}"


@pytest.fixture(scope="module")
def machines(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    with host_and_peer(generation, wire, variant="supplicant") as (host, peer):
        profile = keyfile(zone="trusted").replace("[ipv4]\n", LOGIN).replace("timestamp=", "auth-retries=1\ntimestamp=")
        yield seed_host(host, zone="trusted", default_zone="drop", profile=profile), peer


@pytest.mark.guarantee("G03")
def test_the_password_of_8021x(machines: tuple[Machine, Machine], definition: str) -> None:
    """The profile has it while the change waits for confirmation, when the change is kept, after a power cut, and
    after the removal."""
    host, peer = machines
    host.put("/root/cluster.yaml", definition)
    before = picture.whole(host)
    said = [host.out(f"kvmnet plan {options} /root/cluster.yaml") for options in ("", "--json", "-o /root/plan.json")]
    job = host.start("exec kvmnet apply --yes --json --confirm-within 300 /root/cluster.yaml")
    host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=180)
    assert host.out(HELD) == f"lab\n{PASSWORD}"
    said += [host.out(f"kvmnet status {options}") for options in ("", "--json")]
    said.append(host.out("systemctl status --full --lines=1000 'kvmnet-*'"))
    assert files_with_password(host) == ["/var/lib/kvmnet/open/" + UUID + ".rebound"]
    assert host.at_console("kvmnet confirm --at-the-console").code == 0
    result = job.wait(60)
    assert result.code == 0, result
    said += [result.stdout, result.stderr, host.out("kvmnet status --json")]
    assert picture.link(host, "peth0")["master"] == "eth0"
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    assert host.out(HELD) == f"lab\n{PASSWORD}"
    assert reachable(peer)
    assert host.run("kvmnet apply /root/cluster.yaml").stdout.endswith(
        "nothing to do: the host matches the definition\n"
    )
    result = host.run("kvmnet remove --yes --json", check=False, timeout=120)
    assert result.code == 0, result
    assert picture.whole(host) == before
    assert host.out(HELD) == f"lab\n{PASSWORD}"
    said += [result.stdout, result.stderr, host.out("kvmnet history"), host.out("kvmnet history --json")]
    assert [text for text in said if PASSWORD in text] == []
    assert files_with_password(host) == []


@pytest.mark.guarantee("G03")
def test_a_rollback_restores_the_password(machines: tuple[Machine, Machine], definition: str) -> None:
    host, _ = machines
    host.put("/root/cluster.yaml", definition)
    before = picture.whole(host)
    with injection.nmstatectl(host, '$REAL "$@"; echo "NmstateError: Bug: after all was done" >&2; exit 1'):
        result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=180)
    assert result.code == 3, result
    assert picture.whole(host) == before
    assert host.out(HELD) == f"lab\n{PASSWORD}"
    assert PASSWORD not in result.stdout + result.stderr
    # a file moved aside from /run may be an administrator's
    assert [file for file in files_with_password(host) if "/aside/run/" not in file] == []


def files_with_password(host: Machine) -> list[str]:
    """Return the files that contain the password, other than those of NetworkManager; also the systemd journal."""
    host.run("mkdir -p /root/searched; journalctl --all --output=export > /root/searched/journal")
    places = "/var/lib/kvmnet /root/searched /root/plan.json /run/kvmnet /run/systemd /etc/systemd /var/log"
    return host.run(f"grep -rlsa {PASSWORD} {places}", check=False).stdout.splitlines()
