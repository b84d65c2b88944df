"""The .link files (systemd.link(5)) that give NICs their names at boot."""

from __future__ import annotations

from collections.abc import Iterable

from kvmnet.core.rendering.bundle import Nic


def link_file_name(name: str) -> str:
    """Return the name of the .link file of the NIC that gets the kernel name `name`.

    It begins with 00 because udev uses the first matching file in lexical order, and the files of installers begin with
    10 (systemd.link(5)).
    """
    return f"00-kvmnet-{name}.link"


def link_file_texts(nics: Iterable[Nic]) -> dict[str, str]:
    """Return the .link files of NICs, text by name. The rows of the NICs are all that they depend on, so the files of a
    bundle can be compared with them.

    They have no NamePolicy= and no AlternativeNamesPolicy=, so that udev does not set the old name as an alternative
    name.
    """
    return {
        link_file_name(nic.name): (
            f"# Written by kvmnet: interface {nic.interface} is the NIC {nic.mac}.\n"
            f"[Match]\nPermanentMACAddress={nic.mac}\n\n[Link]\nName={nic.name}\n"
        )
        for nic in nics
        if nic.link_file is not None
    }
