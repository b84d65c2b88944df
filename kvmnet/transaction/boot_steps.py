"""The step that verifies the next boot: after everything is written, the files on disk must give what was foreseen."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import replace
from typing import Optional

from kvmnet.core.boot.boot_files import ETC_FOLDER, BootFiles
from kvmnet.core.boot.keyfile import KeyfileError
from kvmnet.core.boot.outcome import NOTHING, BootOutcome, compute_outcomes
from kvmnet.core.boot.stored_profile import StoredProfile, read_stored_profile
from kvmnet.core.effects.next_boot import NextBoot, foresee_next_boot
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan
from kvmnet.system import operations
from kvmnet.transaction.original_host import Original
from kvmnet.transaction.step import Step, step

_TITLE = "verify what each interface gets at the next boot"


def verify_boot(plan: Plan, live: Live) -> list[Step]:
    """The step that verifies a change. It expects for other interfaces what was foreseen: what they get before the
    change, unless the administrator has accepted something else (KVN552). Interfaces of the definition must get their
    own profile, unless that was not foreseen either (KVN535, KVN553 overridden)."""
    next_boot = foresee_next_boot(plan, live) if plan.changes_host else None
    if next_boot is None or live.boot is None:
        return []
    own = [
        {"interface": name, "uuid": own.uuid, "controller": own.controller}
        for name, own in next_boot.own.items()
        if own.is_right
    ]
    return [_verify(live.boot, _expect_foreign(next_boot), own, next_boot.foreign)]


def _expect_foreign(next_boot: NextBoot) -> list[BootOutcome]:
    return [
        next_boot.after.get(name, BootOutcome(name, NOTHING, next_boot.before[name].mac)) for name in next_boot.foreign
    ]


def _verify(
    boot: BootFiles, expect: Collection[BootOutcome], own: list[dict[str, str]], foreign: Collection[str]
) -> Step:
    """`expect`: outcomes; `own`: interfaces that must get the profile that is active on them, and inactive ones (a NIC
    without a carrier) that with this UUID. `regenerated`: the
    profiles that another program writes again at boot, as they were before the change. `active`: what other interfaces
    had before the change, because it counts at boot and may change at any time."""
    return step(
        operations.VERIFY_BOOT,
        _TITLE,
        expect=[outcome.to_json() for outcome in expect],
        own=own,
        regenerated=[profile.to_json() for profile in boot.profiles if profile.regenerated],
        active={name: uuid for name, uuid in boot.active.items() if name in foreign},
    )


def verify_boot_after_removal(
    plan: Plan, original: Original, live: Live, created_profiles: Collection[str]
) -> list[Step]:
    """The step that verifies a removal. The files that it restores have their content from before kvmnet, and all
    others stay as they are: `created_profiles` (UUIDs) are deleted."""
    if live.boot is None:
        return []
    outcomes = compute_outcomes(files_after_removal(plan, original, live.boot, created_profiles))
    names = {nic.mac: nic.name for nic in original.nics}
    macs = {nic.mac for nic in original.nics}
    foreign = {nic.name for nic in live.boot.nics if nic.mac not in macs} - set(names.values()) - set(original.active)
    return [_verify(live.boot, list(outcomes.values()), [], foreign)]


def files_after_removal(
    plan: Plan, original: Original, boot: BootFiles, created_profiles: Collection[str]
) -> BootFiles:
    """Return the files as a removal will leave them."""
    restored = {row["path"]: row for row in original.snapshot["files"] if row["path"].startswith(f"{ETC_FOLDER}/")}
    gone = {*created_profiles, *plan.down.values(), *original.snapshot["uuids"]}
    profiles = [p for p in boot.profiles if p.file not in restored and p.uuid not in gone]
    for path, record in restored.items():
        if "data" in record:
            text = base64.b64decode(record["data"]).decode(errors="surrogateescape")
            if (profile := _read(path, text, boot)) is not None:
                profiles.append(profile)
    names = {nic.mac: nic.name for nic in original.nics}
    nics = tuple(replace(nic, name=names.get(nic.mac, nic.name)) for nic in boot.nics)
    new_names = {old.name: new.name for old, new in zip(boot.nics, nics)}
    active = {new_names.get(name, name): uuid for name, uuid in boot.active.items() if uuid not in gone}
    return replace(boot, profiles=tuple(profiles), nics=nics, active={**active, **original.active})


def _read(path: str, text: str, boot: BootFiles) -> Optional[StoredProfile]:
    try:
        return read_stored_profile(path, text, version=boot.version)
    except KeyfileError:
        return None
