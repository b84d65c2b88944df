"""Refusals about others that name NICs at boot: the kernel, .link files, udev rules, cloud-init, an initramfs."""

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

#: Names that a NIC may have when udev sees it at boot.
_BOOT_NAMES = tuple(f"eth{number}" for number in range(16))
_KERNEL_NAME = re.compile(r"eth[0-9]+\Z")
#: A part of a udev rule: key, operator and value.
_TOKEN = re.compile(r'([A-Z_]+(?:\{[^}]*\})?)\s*(==|!=|\+=|-=|:=|=)\s*"((?:[^"\\]|\\.)*)"')


@refusal("KVN540", "another .link file would name a NIC")
def foreign_link_file(case: Case) -> Iterator[Refusal]:
    """
    For each NIC, udev uses the first matching .link file in lexical order (systemd.link(5)). Those of kvmnet are
    called 00-kvmnet-NAME.link. Another file matches a NIC of the definition and sorts before them, or it has a name of
    this form but was not written by kvmnet. Rename or remove this file. If kvmnet cannot evaluate a condition of the
    file (Driver=, Path=, Property=, …), it assumes that the file matches.
    """
    nics = [(nic, link) for nic, link in case.nics if nic.link_file]
    for file in case.live.surroundings.link_files:
        name = PurePath(file.path).name
        for nic, link in nics:
            if name == nic.link_file:
                message = f"{file.path} has the name of kvmnet's file for NIC {link.name}, but kvmnet did not write it"
            elif name < str(nic.link_file) and _may_match(file, nic, link):
                message = f"{file.path} would take precedence over {nic.link_file} for NIC {link.name}"
            else:
                continue
            yield Refusal("KVN540", message, f"rename {file.path} so that it sorts after {nic.link_file}, or remove it")


@refusal("KVN541", "settings of another .link file would be lost", allow=True)
def hidden_settings(case: Case) -> Iterator[Refusal]:
    """
    udev uses one .link file for each NIC. The file that currently matches the NIC sets more than its name: offloads,
    ring sizes, Wake on LAN, MTU or MAC address. From the next boot on, udev uses kvmnet's file instead, which does not
    have these settings. Move the settings to /etc/systemd/network/00-kvmnet-NAME.link.d/*.conf, which udev reads
    together with kvmnet's file. Or override this refusal if you do not need them.
    """
    for nic, link in case.nics:
        if nic.link_file not in case.plan.link_files or nic.link_file in case.live.link_files:
            continue
        file = next((f for f in case.live.surroundings.link_files if _may_match(f, nic, link)), None)
        if file is not None and file.sets:
            yield Refusal(
                "KVN541",
                f"{file.path} sets {', '.join(file.sets)} for NIC {link.name}, but {nic.link_file} takes its place",
                f"move these settings from {file.path} to /etc/systemd/network/{nic.link_file}.d/site.conf",
            )


def _may_match(file: LinkFile, nic: Nic, link: Link) -> bool:
    """Whether the [Match] section of a .link file may match a NIC. Conditions that are not evaluated here match."""
    for key, value in file.match.items():
        items = value.lower().split()
        if key in ("MACAddress", "PermanentMACAddress"):
            is_match = link.mac in [item.replace("-", ":") for item in items]
        elif key == "OriginalName":
            is_match = any(_matches_name(pattern, nic, link) for pattern in value.split())
        elif key == "Type":
            is_negated = bool(items) and items[0].startswith("!")
            is_match = ("ether" in [item.lstrip("!") for item in items]) != is_negated
        elif key == "Kind":  # virtual links have a kind, NICs have none
            is_match = False
        else:
            is_match = True
        if not is_match:
            return False
    return True


def _matches_name(pattern: str, nic: Nic, link: Link) -> bool:
    """Whether a pattern matches a name that the NIC may have at boot: the kernel assigns eth0, eth1, … by chance."""
    names = (link.name, nic.interface, nic.kernel_name or nic.interface, *_BOOT_NAMES)
    return any(fnmatchcase(name, pattern) for name in names)


@refusal("KVN542", "a udev rule would name a NIC")
def naming_rule(case: Case) -> Iterator[Refusal]:
    """
    A udev rule that assigns NAME= takes precedence over all .link files. Old systems have such rules in
    70-persistent-net.rules. 60-net.rules of the initscripts names NICs by ifcfg files with HWADDR=. Other rules were
    written for your site. The rule in the message names a NIC of the definition, or gives another NIC the name of an
    interface of the definition. Remove the rule, and rebuild the initramfs if it contains the rule. kvmnet checks
    /etc/udev/rules.d and /run/udev/rules.d, and 60-net.rules of the initscripts if ifcfg files have HWADDR=.
    """
    nics = [(nic, link) for nic, link in case.nics if nic.link_file]
    own_names = {i["name"] for i in interfaces_of(case.bundle.state)} | {nic.name for nic, _ in nics}
    for rule in case.live.surroundings.naming_rules:
        tokens = _TOKEN.findall(rule.text)
        name = next((value for key, operator, value in tokens if key == "NAME" and operator in ("=", ":=")), None)
        if name is None:
            continue
        matching = [(nic, link) for nic, link in nics if _rule_may_match(tokens, nic, link)]
        renamed = [link.name for nic, link in matching if name != nic.name]
        if renamed:
            message = f"a udev rule in {rule.file} would name NIC {', '.join(renamed)}: {rule.text}"
        elif not matching and nics and name in own_names:
            message = f"a udev rule in {rule.file} would give another NIC the name {name}: {rule.text}"
        else:
            continue
        yield Refusal("KVN542", message, f"remove the rule from {rule.file}")


def _rule_may_match(tokens: list[tuple[str, str, str]], nic: Nic, link: Link) -> bool:
    """Whether a udev rule may match a NIC. Conditions that are not evaluated here match."""
    for key, operator, value in tokens:
        patterns = value.split("|")
        if operator != "==":
            continue
        if key in ("ATTR{address}", "ATTRS{address}", "ENV{ID_NET_NAME_MAC}"):
            is_match = any(fnmatchcase(link.mac or "", pattern.lower()) for pattern in patterns)
        elif key == "SUBSYSTEM":
            is_match = any(fnmatchcase("net", pattern) for pattern in patterns)
        elif key == "KERNEL":
            is_match = any(_matches_name(pattern, nic, link) for pattern in patterns)
        elif key == "ATTR{type}":
            is_match = "1" in patterns
        else:
            is_match = True
        if not is_match:
            return False
    return True


@refusal("KVN543", "cloud-init configures the network", allow=True)
def cloud_init(case: Case) -> Iterator[Refusal]:
    """
    cloud-init is active, and its network configuration is enabled. At boot, cloud-init renames NICs and may write its
    own connection profiles. Disable its network configuration; its other functions are not affected:
    `echo 'network: {config: disabled}' > /etc/cloud/cloud.cfg.d/99-network.cfg`.
    """
    if case.live.surroundings.cloud_init:
        yield Refusal(
            "KVN543",
            f"cloud-init configures the network of this host ({case.live.surroundings.cloud_init})",
            "disable this: echo 'network: {config: disabled}' > /etc/cloud/cloud.cfg.d/99-network.cfg",
        )


@refusal("KVN545", "an initramfs contains a .link file that would change", allow=True)
def initramfs_names(case: Case) -> Iterator[Refusal]:
    """
    initramfs-tools and dracut copy the .link files of /etc/systemd/network into the initramfs. An initramfs that was
    built after the last change (for example for a new kernel) therefore contains kvmnet's .link file. This change
    removes the file or changes it. If the initramfs also contains the NIC's driver, the NIC gets the old name at the
    next boot. udev does not rename a NIC again (NamePolicy=keep, systemd.link(5)). The connection profile would then
    not match the NIC.

    Override this refusal, and rebuild the initramfs before the next boot: `update-initramfs -u -k all`, or
    `dracut -f --regenerate-all`. kvmnet checks /boot/initrd.img-* and /boot/initramfs-*.img with lsinitramfs or
    lsinitrd. Without these programs, it assumes that an image that is newer than the file contains it.
    """
    for image in case.live.surroundings.initramfs:
        yield Refusal(
            "KVN545",
            f"{image} contains kvmnet's .link files, which would change: the next boot may use the old name of a NIC",
            "override this, then rebuild the initramfs: update-initramfs -u -k all, or dracut -f --regenerate-all",
        )


@refusal("KVN544", "a NIC would get the name that the kernel gives to another NIC")
def kernels_name(case: Case) -> Iterator[Refusal]:
    """
    At boot the kernel names NICs eth0, eth1, … in the order in which it finds them. udev renames each NIC as it
    appears. It cannot give a NIC the name eth1 while the kernel uses this name for another NIC, even if that NIC also
    gets a new name. udev (252 to 257) then stops with "File exists" and leaves the NIC without its configuration. So
    the change would work until the next boot; then the NIC would have no network. Use the name that the kernel gives
    to this NIC, or a name that the kernel does not use (`lan0`). Names of bridges are not affected, and names such as
    peth0 (a NIC below its bridge) are not affected either.
    """
    boot_names = {
        link.mac: case.live.first_names.get(link.mac, link.name) for link in case.live.links.values() if link.mac
    }
    for nic, link in case.nics:
        if nic.link_file is None or not _KERNEL_NAME.match(nic.name):
            continue
        other = next((mac for mac, name in boot_names.items() if name == nic.name and mac != link.mac), None)
        if other is not None:
            yield Refusal(
                "KVN544",
                f"NIC {link.mac} would be named {nic.name}, but at boot the kernel gives this name to NIC {other}",
                "swap the two keys in the definition, or use names that the kernel does not use (lan0)",
            )
