"""The roots that lab machines boot from: complete Debian systems in folders, with a kernel, made by mmdebstrap."""

from __future__ import annotations

import re
from pathlib import Path

from tests.machines import cache, local_programs

GENERATIONS = ("trixie", "bookworm")
"""trixie is as EL 10 (kernel 6.12, systemd 257, NetworkManager 1.52), bookworm near EL 9 (6.1, 252, 1.42)."""

BASE = [
    *("ca-certificates", "systemd-sysv", "udev", "dbus", "kmod", "procps", "python3", "user-mode-linux"),
    *("network-manager", "polkitd", "iproute2", "bridge-utils", "ethtool", "dnsmasq-base"),
    *("iputils-ping", "iputils-arping", "tcpdump", "openssh-server", "openssh-client"),
    *("firewalld", "iptables", "ipset", "ebtables"),
]

VARIANTS: dict[str, list[str]] = {
    "plain": [],
    "guests": [
        "libvirt-daemon-system",
        "libvirt-clients",
        "qemu-system-arm",
        "qemu-system-x86",
        "ipxe-qemu",
        "seabios",
        "libxml2-utils",
    ],
    "supplicant": ["wpasupplicant"],
    "keepalived": ["keepalived"],
    "git": ["git"],
}
"""A variant is the base and more packages, made the first time a test asks for it."""

RARE = frozenset({"supplicant", "keepalived", "git"})
"""No test of `make test` asks for these, so a build does not make them beforehand."""

RECIPE = """
# this kernel's nf_tables has no inet family: firewalld needs the older tables
sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/; s/^IPv6_rpfilter=.*/IPv6_rpfilter=no/' \
  /etc/firewalld/firewalld.conf
for program in iptables ip6tables ebtables; do
  update-alternatives --set $program /usr/sbin/$program-legacy
done
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*
"""


def root(suite: str, variant: str = "plain") -> Path:
    """Return the root of a generation; it is built if the cache does not have it."""
    packages = BASE + VARIANTS[variant]
    name = f"root-{suite}-{variant}-{cache.key(suite, *sorted(packages), RECIPE)}"

    def make(path: Path) -> None:
        target = path / "tree"
        source = f"deb {mirror()} {suite} main"
        options = ["--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
        local_programs.call(["mmdebstrap", *options, suite, target, source])
        local_programs.in_root(target, RECIPE)

    return cache.entry(name, make, says=f"building the {suite} root ({variant})", expect=60) / "tree"


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """Return the Debian mirror of this machine's own apt, so that proxies and local mirrors keep working."""
    for uri, suite in _sources(apt):
        if not re.search(r"security|updates|backports", f"{suite} {uri}"):
            return uri
    raise cache.LabError(f"no Debian mirror in {apt}/sources.list or sources.list.d")


def _sources(apt: Path) -> list[tuple[str, str]]:
    """Yield every (address, suite) of the apt sources, in both of their formats."""
    found = []
    single = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for file in filter(Path.is_file, single):
        for line in file.read_text().splitlines():
            match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+.*\bmain\b", line)
            if match:
                found.append((match[1], match[2]))
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            field = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.*)$", stanza, re.M))
            if "deb" not in field.get("Types", "").split() or field.get("Enabled") == "no":
                continue
            if "main" in field.get("Components", "").split():
                uris, suites = field.get("URIs", "").split(), field.get("Suites", "").split()
                found += [(uri, suite) for uri in uris[:1] for suite in suites]
    return found
