"""Who names the NICs, and which NICs nobody has defined."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.doctor import NOTE, WARNING, Finding, examination
from kvmnet.core.live.host_facts import HostFacts


@examination("KVN610", "who names the NICs")
def find_naming(facts: HostFacts) -> Iterator[Finding]:
    """
    At boot, the name of a NIC comes from the first of these that applies: a udev rule with NAME=, the first .link file
    that matches, or the kernel. A naming policy that renames NICs (rocks) writes .link files 00-kvmnet-NAME.link, which
    win against all others but udev rules. With net.ifnames=0 on the kernel command line, NICs keep the kernel's names
    (eth0, eth1, …) in the order in which they appear: two NICs may exchange their names after a hardware change, unless
    .link files name them.
    """
    sources = [f"the udev rule in {rule.file}" for rule in facts.surroundings.naming_rules[:3]]
    links = [file.path for file in facts.surroundings.link_files if not file.path.endswith("/99-default.link")]
    sources += [f"{path}" for path in links[:5]]
    is_kernel = "net.ifnames=0" in facts.options
    sources.append("the kernel (net.ifnames=0)" if is_kernel else "udev's predictable names")
    yield Finding("KVN610", NOTE, f"NICs are named by {', then '.join(sources)}")


@examination("KVN611", "NICs that no definition names")
def find_unknown_nics(facts: HostFacts) -> Iterator[Finding]:
    """
    The host has physical NICs that are not in the definition. kvmnet does not configure them. With net.ifnames=0, such
    a NIC may take the name that a bridge of the definition needs, and the bridge could not be created at boot. Name
    every NIC in the definition: with `manage: false`, kvmnet leaves it alone, but knows its name and MAC address.
    """
    if facts.known_nics is None:
        return
    for nic in facts.nics:
        if not {nic.mac, nic.name} & facts.known_nics:
            severity = WARNING if "net.ifnames=0" in facts.options else NOTE
            fix = f'add to the definition: {nic.name}: {{mac: "{nic.mac}", manage: false}}'
            yield Finding("KVN611", severity, f"NIC {nic.name} ({nic.mac}) is not in the definition", fix)
