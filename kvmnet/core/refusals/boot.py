"""What needs the network before NetworkManager runs, or never without it."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.refusals import Case, Refusal, refusal

#: What /var/lib/kvmnet may be on that no initramfs mounts: where it comes over a network, systemd mounts it after that.
AFTER_THE_NETWORK = ("/var", "/var/lib", "/var/lib/kvmnet")


@refusal("KVN550", "an initramfs brings up the network", allow=True)
def initramfs(case: Case) -> Iterator[Refusal]:
    """
    The initramfs brings a NIC up (a root over the network, disks unlocked by a server, a leftover of the installer):
    it is up before udev sees kvmnet's .link file, and a kernel before 6.2 cannot rename it then; its profile
    competes with ours. Looked at are the kernel's command line (ip=, rd.neednet, rd.route=, bond=, bridge=, team=,
    vlan=, netroot=, nfsroot=, BOOTIF=, rd.iscsi…, a root over the network), the same words in kernel_cmdline= of
    dracut's configuration, and what an initramfs leaves behind: /run/net-*.conf, /run/initramfs/net.*, profiles of
    nm-initrd-generator. An ip= that names another NIC than the definition's does not count.
    Take the words out, or see that the initramfs has our .link files (`dracut -f --regenerate-all` after an apply
    with --allow), and that the machine boots.
    """
    ours = {link.name for _, link in case.nics} | {nic.name for nic, _ in case.nics}
    ours |= {nic.interface for nic, _ in case.nics} | {link.mac for _, link in case.nics if link.mac}
    others = {link.name for link in case.live.links.values()} - ours
    for sign in case.live.surroundings.boot_network:
        parts = set(sign.partition(" ")[0].partition("=")[2].split(":"))
        if sign.startswith("ip=") and parts & others and not parts & ours:
            continue
        yield Refusal(
            "KVN550",
            f"the initramfs brings up the network at boot ({sign})",
            "take it out of the boot loader's or dracut's configuration and rebuild the initramfs",
        )


@refusal("KVN551", "the machine's disk is at the other end of the NIC", allow=True)
def network_disk(case: Case) -> Iterator[Refusal]:
    """
    The root file system, /usr, /var, /etc or swap comes over the network (NFS, iSCSI, NBD, NVMe over fabrics,
    FCoE, Ceph …): when the NIC goes away, so does the program that should bring it back. When the way to the server
    is known and is none of the definition's interfaces, it does not count; but for what /var/lib/kvmnet is on: after
    a power cut the change is undone from there before NetworkManager starts, so that it may not wait for the network.
    Such a machine is changed from an image that boots otherwise, or with --allow by somebody who can reach its
    console.
    """
    ours = {i["name"] for i in interfaces_of(case.bundle.state)} | {nic.name for nic, _ in case.nics}
    ours |= {link.name for _, link in case.nics}
    for disk in case.live.surroundings.network_disks:
        elsewhere = disk.interface is not None and disk.interface not in ours
        if elsewhere and disk.use not in AFTER_THE_NETWORK:
            continue
        where = f" from {disk.server}" if disk.server else ""
        over = f" over {disk.interface}" if disk.interface else ""
        lacks = "it comes too late at boot to undo" if elsewhere else "it would be gone during"
        yield Refusal(
            "KVN551",
            f"{disk.use} comes over the network ({disk.kind}{where}{over}): {lacks} the change",
            "change such a machine from its console, or move that to a local disk",
        )
