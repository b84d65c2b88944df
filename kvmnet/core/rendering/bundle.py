"""The bundle: everything one host needs, and all that `apply` reads.

A bundle is what `render` writes as a folder and what a pipeline commits. The transaction knows only
bundles, never the definition: so a committed bundle and a fresh definition go the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.base.nmstate import State
from kvmnet.core.base.probe import Probe

#: Version of the folder's format; a kvmnet that does not know it refuses the bundle by name.
FORMAT = 1


@dataclass(frozen=True)
class Nic:
    """A physical NIC of the definition and what becomes of it.

    `interface` is its key in the definition (also the kernel name it is expected to have before kvmnet,
    unless `kernel_name` says otherwise), `name` the kernel name it gets: the same where the profile does
    not rename. `mac` is its permanent MAC, lower case with colons. `link_file` is the name of the
    systemd.link(5) file that gives it its name: under a profile that renames, every NIC known by MAC has one.
    """

    interface: str
    name: str
    kernel_name: Optional[str] = None
    mac: Optional[str] = None
    bridge: Optional[str] = None
    link_file: Optional[str] = None

    @property
    def renamed(self) -> bool:
        """Whether the NIC gets another kernel name than the one it is expected to have.

        A NIC that keeps its name may have a .link file too: it holds the name against a late NIC.
        """
        return self.name != (self.kernel_name or self.interface)


@dataclass(frozen=True)
class Bundle:
    """One host: its nmstate state at rest, what its guests bring, its .link files, its NICs,
    and whom its definition wants to be asked after a change.

    `digest` is "sha256:<hex>" over the host's own view (no tool version in it): equal views give equal
    digests on every machine and every Python.
    """

    cluster: str
    host: str
    profile: str
    nics: tuple[Nic, ...]
    state: State
    guests: Optional[State] = None
    links: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    probes: tuple[Probe, ...] = ()
