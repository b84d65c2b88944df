"""Who else names the NICs at boot: other .link files, rules of udev, cloud-init."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePath

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.surroundings import LinkFile
from kvmnet.core.refusals import Case, Refusal, refusal
from kvmnet.core.rendering.bundle import Nic

_FIRST_NAMES = tuple(f"eth{number}" for number in range(16))
_KERNELS = re.compile(r"eth[0-9]+\Z")
_TOKEN = re.compile(r'([A-Z_]+(?:\{[^}]*\})?)\s*(==|!=|\+=|-=|:=|=)\s*"((?:[^"\\]|\\.)*)"')


@refusal("KVN540", "another .link file would name a NIC")
def foreign_link_file(case: Case) -> Iterator[Refusal]:
    """
    udev takes the first .link file in lexical order that matches a NIC (systemd.link(5)), and kvmnet's are called
    00-kvmnet-NAME.link. A file that sorts before and matches a NIC of the definition would win; so would one of
    our own name that kvmnet did not write. Rename or remove it. Where it cannot be told whether the file matches
    (Driver=, Path=, Property= …) it counts as one that does.
    """
    named = [(nic, link) for nic, link in case.nics if nic.link_file]
    for file in case.live.surroundings.link_files:
        name = PurePath(file.path).name
        for nic, link in named:
            if name == nic.link_file:
                words = f"{file.path} was not written by kvmnet, but has the name of its file for {link.name}"
            elif name < str(nic.link_file) and _may_match(file, nic, link):
                words = f"{file.path} would win over our {nic.link_file} for the NIC {link.name}"
            else:
                continue
            yield Refusal("KVN540", words, f"rename {file.path} so that it sorts after ours, or remove it")


@refusal("KVN541", "the site's own settings of a NIC would be hidden", allow=True)
def hidden_settings(case: Case) -> Iterator[Refusal]:
    """
    udev takes one .link file a NIC. The one that matches now sets more than names (offloads, rings, wake on LAN, MTU,
    a MAC), and kvmnet's file, which takes its place from the next boot on, does not. Put those settings into
    /etc/systemd/network/00-kvmnet-NAME.link.d/*.conf, which udev reads with ours, or live without them.
    """
    for nic, link in case.nics:
        if nic.link_file not in case.plan.link_files or nic.link_file in case.live.link_files:
            continue
        file = next((f for f in case.live.surroundings.link_files if _may_match(f, nic, link)), None)
        if file is not None and file.sets:
            yield Refusal(
                "KVN541",
                f"{file.path} sets {', '.join(file.sets)} for {link.name}; our {nic.link_file} takes its place",
                f"put them into /etc/systemd/network/{nic.link_file}.d/site.conf and remove them from {file.path}",
            )


def _may_match(file: LinkFile, nic: Nic, link: Link) -> bool:
    """Whether a [Match] section fits the NIC; what cannot be judged here counts as fitting."""
    for key, value in file.match.items():
        words = value.lower().split()
        if key in ("MACAddress", "PermanentMACAddress"):
            fits = link.mac in [word.replace("-", ":") for word in words]
        elif key == "OriginalName":
            fits = any(_names_match(pattern, nic, link) for pattern in value.split())
        elif key == "Type":
            negative = words[:1] and words[0].startswith("!")
            fits = ("ether" in [word.lstrip("!") for word in words]) != bool(negative)
        elif key == "Kind":  # of virtual links
            fits = False
        else:
            fits = True
        if not fits:
            return False
    return True


def _names_match(pattern: str, nic: Nic, link: Link) -> bool:
    """At boot a NIC has a name that nobody knows now: eth0, eth1, …, in the order they are found."""
    names = (link.name, nic.interface, nic.kernel_name or nic.interface, *_FIRST_NAMES)
    return any(fnmatchcase(name, pattern) for name in names)


@refusal("KVN542", "a rule of udev would name a NIC")
def naming_rule(case: Case) -> Iterator[Refusal]:
    """
    A rule of udev that assigns NAME= wins over every .link file: 70-persistent-net.rules of old systems,
    60-net.rules with ifcfg files that have HWADDR=, a site's own. It names a NIC of the definition, or gives
    another one the name of an interface to come. Remove the rule (and rebuild the initramfs if it has it). Looked
    at are /etc/udev/rules.d and /run/udev/rules.d, and the initscripts' 60-net.rules where ifcfg files have HWADDR=.
    """
    named = [(nic, link) for nic, link in case.nics if nic.link_file]
    wanted = {i["name"] for i in interfaces_of(case.bundle.state)} | {nic.name for nic, _ in named}
    for rule in case.live.surroundings.naming_rules:
        tokens = _TOKEN.findall(rule.text)
        name = next((value for key, operator, value in tokens if key == "NAME" and operator in ("=", ":=")), None)
        if name is None:
            continue
        hit = [(nic, link) for nic, link in named if _rule_may_match(tokens, nic, link)]
        others = [link.name for nic, link in hit if name != nic.name]
        if others:
            words = f"a rule of udev in {rule.file} would name the NIC {', '.join(others)}: {rule.text}"
        elif not hit and named and name in wanted:
            words = f"a rule of udev in {rule.file} would give another NIC the name {name}: {rule.text}"
        else:
            continue
        yield Refusal("KVN542", words, f"take the rule out of {rule.file}")


def _rule_may_match(tokens: list[tuple[str, str, str]], nic: Nic, link: Link) -> bool:
    for key, operator, value in tokens:
        patterns = value.split("|")
        if operator != "==":
            continue
        if key in ("ATTR{address}", "ATTRS{address}", "ENV{ID_NET_NAME_MAC}"):
            fits = any(fnmatchcase(link.mac or "", pattern.lower()) for pattern in patterns)
        elif key == "SUBSYSTEM":
            fits = any(fnmatchcase("net", pattern) for pattern in patterns)
        elif key == "KERNEL":
            fits = any(_names_match(pattern, nic, link) for pattern in patterns)
        elif key == "ATTR{type}":
            fits = "1" in patterns
        else:
            fits = True
        if not fits:
            return False
    return True


@refusal("KVN543", "cloud-init configures the network", allow=True)
def cloud_init(case: Case) -> Iterator[Refusal]:
    """
    cloud-init is active and its network configuration is not switched off: at boot it renames NICs by itself and
    may write profiles of its own over them. Switch it off, the rest of cloud-init stays:
    `echo 'network: {config: disabled}' > /etc/cloud/cloud.cfg.d/99-network.cfg`.
    """
    if case.live.surroundings.cloud_init:
        yield Refusal(
            "KVN543",
            f"cloud-init configures this machine's network ({case.live.surroundings.cloud_init})",
            "switch that off: echo 'network: {config: disabled}' > /etc/cloud/cloud.cfg.d/99-network.cfg",
        )


@refusal("KVN545", "the initramfs has a .link file of kvmnet's that goes", allow=True)
def initramfs_names(case: Case) -> Iterator[Refusal]:
    """
    An initramfs that was made since (by a new kernel, say) has a copy of kvmnet's .link file (initramfs-tools and
    dracut take those of /etc/systemd/network), and this change takes the file away or alters it. If the initramfs has
    the NIC's driver too, its udev names the NIC as before at the next boot, and the machine's own udev leaves a NIC
    that has been renamed as it is (NamePolicy=keep, systemd.link(5)): the connection profile would not find it. So go
    on with --allow, and make the initramfs anew before the next boot: `update-initramfs -u -k all`, or
    `dracut -f --regenerate-all`. Looked into are /boot/initrd.img-* and /boot/initramfs-*.img by lsinitramfs or
    lsinitrd; without these an image that is newer than the file counts as having it.
    """
    for image in case.live.surroundings.initramfs:
        yield Refusal(
            "KVN545",
            f"{image} has kvmnet's .link files, which go or change: the next boot may name the NIC as it is named now",
            "allow it, then make the initramfs anew: update-initramfs -u -k all, or dracut -f --regenerate-all",
        )


@refusal("KVN544", "a NIC is to get the name that the kernel gives another one")
def kernels_name(case: Case) -> Iterator[Refusal]:
    """
    The kernel calls NICs eth0, eth1, … in the order in which it finds them, and udev renames each when it sees it. A
    NIC that is to be eth1 while the kernel calls another one so cannot be renamed at boot, whatever that other one is
    to be called: udev (252 to 257) gives up with "File exists" and leaves the NIC unprepared. While the machine runs it
    would work, so it would be lost at the next boot. Let the NIC have the name that the kernel gives it, or one that
    the kernel gives none (`lan0`); the names of bridges and of NICs under them (peth0) are no obstacle.
    """
    boot = {link.mac: case.live.first_names.get(link.mac, link.name) for link in case.live.links.values() if link.mac}
    for nic, link in case.nics:
        if nic.link_file is None or not _KERNELS.match(nic.name):
            continue
        other = next((mac for mac, name in boot.items() if name == nic.name and mac != link.mac), None)
        if other is not None:
            yield Refusal(
                "KVN544",
                f"the NIC {link.mac} is to be {nic.name}, but at boot the kernel calls the NIC {other} so",
                "swap the two keys in the definition, or choose names that the kernel does not give (lan0)",
            )
