"""Refusals about the next boot, and about hosts that use the network before NetworkManager starts."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.boot.outcome import describe_doubts
from kvmnet.core.refusals import Case, Refusal, refusal
from kvmnet.core.refusals.managers import find_unmanaged_interfaces

#: Mount points that contain /var/lib/kvmnet and that no initramfs mounts: from the network, systemd mounts them late.
_STATE_FOLDER_MOUNTS = ("/var", "/var/lib", "/var/lib/kvmnet")


@refusal("KVN550", "the initramfs configures the network", allow=True)
def initramfs(case: Case) -> Iterator[Refusal]:
    """
    The initramfs brings up a NIC. It may need the NIC for a root file system on the network, or for encrypted disks
    that a server unlocks. The configuration may also be a leftover of the installer. The NIC is then up before udev
    reads kvmnet's .link file, and kernels before 6.2 cannot rename a NIC that is up. The connection profile of the
    initramfs also competes with that of kvmnet.

    kvmnet checks the kernel command line for these options: ip=, rd.neednet, rd.route=, bond=, bridge=, team=, vlan=,
    netroot=, nfsroot=, BOOTIF=, rd.iscsi…, and a root file system on the network. It checks kernel_cmdline= of
    dracut's configuration for the same options. It also checks for files of an initramfs: /run/net-*.conf,
    /run/initramfs/net.*, and profiles of nm-initrd-generator. kvmnet accepts an ip= option for a NIC that is not in
    the definition.

    Remove the options. Or override this refusal. Then, after the apply, rebuild the initramfs so that it contains
    kvmnet's .link files (`dracut -f --regenerate-all`), and check that the host boots.
    """
    managed = {link.name for _, link in case.nics} | {nic.name for nic, _ in case.nics}
    managed |= {nic.interface for nic, _ in case.nics} | {link.mac for _, link in case.nics if link.mac}
    unmanaged = {link.name for link in case.live.links.values()} - managed
    for source in case.live.surroundings.boot_network:
        parts = set(source.partition(" ")[0].partition("=")[2].split(":"))
        if source.startswith("ip=") and parts & unmanaged and not parts & managed:
            continue
        yield Refusal(
            "KVN550",
            f"the initramfs configures the network at boot ({source})",
            "remove this from the configuration of the boot loader or of dracut, and rebuild the initramfs",
        )


@refusal("KVN551", "the host needs a file system on the network", allow=True)
def network_disk(case: Case) -> Iterator[Refusal]:
    """
    The root file system, /usr, /var, /etc or the swap space is on the network (NFS, iSCSI, NBD, NVMe over Fabrics,
    FCoE, Ceph, …). While the NIC is down, the program that must bring it up again is not available.

    kvmnet does not refuse the change if the server is reached through an interface that is not in the definition. But
    /var/lib/kvmnet must always be on a local file system. After a power failure, the change is rolled back from there
    before NetworkManager starts.

    Boot the host from a local image to make the change, or override this refusal if you have access to the console.
    """
    managed = {i["name"] for i in interfaces_of(case.bundle.state)} | {nic.name for nic, _ in case.nics}
    managed |= {link.name for _, link in case.nics}
    for disk in case.live.surroundings.network_disks:
        uses_other_interface = disk.interface is not None and disk.interface not in managed
        if uses_other_interface and disk.use not in _STATE_FOLDER_MOUNTS:
            continue
        server = f" from {disk.server}" if disk.server else ""
        interface = f" over {disk.interface}" if disk.interface else ""
        effect = "is mounted too late at boot for a rollback of" if uses_other_interface else "would be lost during"
        yield Refusal(
            "KVN551",
            f"{disk.use} is on the network ({disk.kind}{server}{interface}) and {effect} the change",
            "move it to a local disk, or make the change at the console of the host",
        )


@refusal("KVN552", "the next boot would change for an interface that is not in the definition", allow=True)
def foreign_interface_at_boot(case: Case) -> Iterator[Refusal]:
    """
    After the change, an interface that is not in the definition would get something else at the next boot than it gets
    from today's files. For example, one connection profile serves several NICs (`multi-connect`, or no interface name),
    and the change binds it to one of them. The others would then have no network after a reboot.

    kvmnet computes the next boot by NetworkManager's rules from the files on the disk: the keyfiles of all folders of
    NetworkManager, NetworkManager.conf with its drop-ins, what was active last, profiles that NetworkManager or netplan
    creates at boot, and the names of the NICs. The message has both results. It is only a note in the plan if a NIC
    without a profile gets the usual one of NetworkManager (DHCP).

    Create a connection profile for each NIC (`nmcli connection clone`), and bind each to its NIC
    (`nmcli connection modify PROFILE connection.interface-name NIC`). Or add the interface to the definition. If you
    override this refusal, kvmnet verifies after the change that the next boot gives the second result.
    """
    for change in case.next_boot.changes if case.next_boot is not None else ():
        if change.is_usual:
            continue  # a note of the plan
        before, after = change.before, change.after
        yield Refusal(
            "KVN552",
            f"{before.interface} is not in the definition, but the change alters what it gets at the next boot; "
            f"now: {before.text}. After the change: {after.text}{describe_doubts(before, after)}",
            f"create a connection profile for {before.interface} alone, or add {before.interface} to the definition",
        )


@refusal("KVN553", "an interface of the definition would not come up at the next boot", allow=True)
def own_interface_at_boot(case: Case) -> Iterator[Refusal]:
    """
    The change would work now, but at the next boot NetworkManager would not activate the connection profile of an
    interface of the definition. These are the usual reasons:

    - The profile matches by a pattern (`match.interface-name=eth*`) that does not match the new name of the NIC.
    - Another program writes the profile again at each boot (netplan), without what kvmnet has changed.
    - `unmanaged-devices` in NetworkManager's configuration matches an interface that exists (for one that the change
      creates see KVN538).

    kvmnet computes the next boot from the files on the disk, as described for KVN552. A second profile with a higher
    priority is reported as KVN535.

    Replace the profile by one that is bound to the interface name or the MAC address. With netplan, change or remove
    its file in /etc/netplan.
    """
    if case.next_boot is None:
        return
    unmanaged = find_unmanaged_interfaces(case)
    winning = {rival.profile.uuid for rival in case.rivals if rival.wins}
    for own in case.next_boot.own.values():
        outcome = own.outcome
        if own.is_right or outcome.uuid in winning or {outcome.interface, own.controller} & set(unmanaged):
            continue
        port = f" as a port of {own.controller}" if own.controller else ""
        yield Refusal(
            "KVN553",
            f"at the next boot, {outcome.interface} would not get its connection profile{port}, but {outcome.text}"
            f"{describe_doubts(outcome)}",
            f"create a connection profile that is bound to {outcome.interface} by its name or MAC address, and remove "
            "what matches by a pattern or is written by another program",
        )
