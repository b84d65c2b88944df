"""What `kvmnet apply` requires: root, the programs, space, no open transaction."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.doctor import ERROR, NOTE, WARNING, Finding, examination
from kvmnet.core.live.host_facts import HostFacts
from kvmnet.core.live.live_host import version_of
from kvmnet.core.refusals.program import FEATURES, MIN_BYTES, MIN_FILES

#: The first versions that kvmnet works with (KVN506).
OLDEST_NMSTATE, OLDEST_NETWORKMANAGER = (2, 2, 9), (1, 40)


@examination()
def find_missing_privileges(facts: HostFacts) -> Iterator[Finding]:
    if not facts.is_root:
        yield Finding("KVN500", NOTE, "only root can read everything: the result is incomplete", "sudo kvmnet doctor")
    for problem in facts.problems:
        yield Finding("KVN512", WARNING, f"could not be read: {problem}", "run the program that the message names")


@examination()
def find_missing_programs(facts: HostFacts) -> Iterator[Finding]:
    if not facts.nmstate:
        is_el = facts.package_manager == "dnf"
        fix = "dnf install nmstate python3-libnmstate" if is_el else "cargo install nmstatectl"
        yield Finding("KVN505", ERROR, "nmstate is not installed", fix)
    elif version_of(facts.nmstate) < OLDEST_NMSTATE:
        message = f"nmstate {facts.nmstate} is too old: kvmnet needs 2.2.9 or later"
        yield Finding("KVN506", ERROR, message, f"{facts.package_manager} upgrade nmstate")
    if not facts.networkmanager:
        message = f"NetworkManager does not answer: {facts.networkmanager_problem or 'it is not running'}"
        yield Finding("KVN504", ERROR, message, "systemctl enable --now NetworkManager")
    elif version_of(facts.networkmanager) < OLDEST_NETWORKMANAGER:
        message = f"NetworkManager {facts.networkmanager} is too old: kvmnet needs 1.40 or later"
        yield Finding("KVN506", ERROR, message, f"{facts.package_manager} upgrade NetworkManager")


@examination("KVN600", "the installed versions lack a feature")
def find_missing_features(facts: HostFacts) -> Iterator[Finding]:
    """
    The installed nmstate or NetworkManager does not support a feature that a definition can ask for. Only a definition
    that uses the feature is refused on this host (KVN506). Update the program if you need the feature.
    """
    for feature in FEATURES:
        needs = (
            ("nmstate", facts.nmstate, feature.nmstate),
            ("NetworkManager", facts.networkmanager, feature.networkmanager),
        )
        for program, installed, first in needs:
            version = version_of(installed)
            if version and first is not None and version < first and not _is_too_old(program, version):
                needed = ".".join(map(str, first))
                message = f"{program} {installed} does not have {feature.name} (since {needed})"
                yield Finding("KVN600", NOTE, message, f"{facts.package_manager} upgrade {program}")


def _is_too_old(program: str, version: tuple[int, ...]) -> bool:
    return version < (OLDEST_NMSTATE if program == "nmstate" else OLDEST_NETWORKMANAGER)


@examination("KVN601", "this Python cannot import libnmstate")
def find_missing_binding(facts: HostFacts) -> Iterator[Finding]:
    """
    libnmstate is nmstate's Python binding. The distribution ships it for its own Python (on EL: python3-libnmstate). A
    Python of another version, or in a virtual environment without the system's packages, cannot import it. kvmnet then
    uses the program nmstatectl, which does the same and is somewhat slower. Do not install libnmstate from PyPI: the
    package of that name there is a different, old one.

    To use the binding, run kvmnet with the system's Python, or create the virtual environment with
    `--system-site-packages`.
    """
    if facts.nmstate and facts.binding_problem:
        message = f"{facts.python} cannot import libnmstate ({facts.binding_problem}): nmstatectl is used"
        yield Finding("KVN601", NOTE, message)


@examination()
def find_open_transactions(facts: HostFacts) -> Iterator[Finding]:
    if facts.open_transaction:
        yield Finding("KVN502", ERROR, "a transaction is open", "kvmnet status")
    if facts.checkpoints:
        message = f"NetworkManager has an open checkpoint of another tool: {', '.join(facts.checkpoints)}"
        yield Finding("KVN507", WARNING, message, f"nmstatectl rollback {facts.checkpoints[0]}")


@examination()
def find_missing_space(facts: HostFacts) -> Iterator[Finding]:
    for room in facts.surroundings.room:
        if room.bytes < MIN_BYTES or (room.files is not None and room.files < MIN_FILES):
            message = f"{room.path} has too little free space: kvmnet needs 8 MiB and 128 inodes"
            yield Finding("KVN510", ERROR, message, f"df -h {room.path}; df -i {room.path}")
    for folder in facts.surroundings.read_only:
        message = f"{folder} is read-only, so no change could be saved"
        yield Finding("KVN513", ERROR, message, f"findmnt --target {folder}; lsattr -d {folder}")
