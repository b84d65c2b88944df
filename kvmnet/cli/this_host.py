"""This host: which host of a definition it is, its bundle or saved plan, its state folder, and who may change it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, write_stderr
from kvmnet.core.base.errors import KvmnetError, Refused, Usage
from kvmnet.system import state_folder

if TYPE_CHECKING:
    from kvmnet.core.rendering.bundle import Bundle
    from kvmnet.core.reporting.saved_plan import SavedPlan


def bundle_of_this_host(
    console: Console, path: Optional[str], host: Optional[str], folder: Optional[str], allow: Collection[str] = ()
) -> Bundle:
    """Return the bundle of this host: rendered from the definition at `path`, or read from `folder`. `allow` are the
    codes that the user overrides.

    Ends the program with exit code 1 when the definition has errors. Raises NotThisHost when neither is about this
    host, Usage when both are given, KvmnetError when the folder is not a bundle, Refused when others could have written
    the files.
    """
    if folder is not None and path is not None:
        raise Usage("a definition and a bundle cannot be used together", "give PATH or --bundle")
    if folder is not None:
        _require_unwritable([Path(folder)], allow)
        bundles = [_read_bundle_folder(folder)]
    else:
        bundles = _render_bundles(console, path, allow)
    return match_this_host(bundles, host)


def read_bundle_folders(folders: Iterable[Path]) -> list[Bundle]:
    """Return the bundles of these folders. Raises KvmnetError when one is not a bundle, Refused when others could have
    written its files."""
    bundles = []
    for folder in folders:
        _require_unwritable([folder], ())
        bundles.append(_read_bundle_folder(str(folder)))
    return bundles


def match_this_host(bundles: list[Bundle], host: Optional[str]) -> Bundle:
    """Return the bundle of this host, by the permanent MAC addresses of its NICs; `host` is its name, where given.

    Raises NotThisHost, and Refused when the host's links cannot be read.
    """
    from kvmnet.applied_record import read_ownership
    from kvmnet.core.live.match_host import find_host
    from kvmnet.host.read_live import read_hostname, read_links
    from kvmnet.transaction.prepare import refuse_unreadable_host

    with refuse_unreadable_host():
        macs = {link.mac: link.name for link in read_links().values() if link.mac}
    return find_host(bundles, macs, read_hostname(), host, read_ownership(state_path()).first_names)


def read_saved_plan(file: str, allow: Collection[str] = ()) -> SavedPlan:
    """Return the plan that `kvmnet plan -o` wrote. `allow` are the codes that the user overrides. Raises KvmnetError
    when the file is not one, or was edited, Refused when others could have written it."""
    from kvmnet.core.rendering.bundle_files import BundleError
    from kvmnet.core.reporting.saved_plan import PlanFileError, from_text
    from kvmnet.definition_files import CannotRead, read_file
    from kvmnet.pipeline import load_bundle_schemas, load_schema

    _require_unwritable([Path(file)], allow)
    try:
        text = read_file(Path(file), follow=False).decode("utf-8")
        return from_text(text, load_schema("plan"), load_bundle_schemas())
    except (PlanFileError, BundleError, CannotRead, OSError, UnicodeDecodeError) as error:
        raise KvmnetError(f"{file} is not a plan that can be applied: {error}") from error


def _require_unwritable(paths: Iterable[Path], allow: Collection[str]) -> None:
    """Raise Refused if this is root and someone else could have written one of these files, or the files in one of
    these folders."""
    from kvmnet.host.trusted_files import find_other_writer, trusted_owners

    if os.geteuid() != 0 or "KVN517" in allow:
        return
    owners = trusted_owners()
    for path in paths:
        files = [path, *sorted(path.iterdir())] if path.is_dir() and not path.is_symlink() else [path]
        for file in files:
            if os.path.lexists(file) and (writer := find_other_writer(file, owners)):
                message = f"root is to use {path}, but others could have changed it: {writer}"
                hint = f"check its content, then make it yours: chown -R root: {path}; chmod -R go-w {path}"
                raise Refused(message, hint, "KVN517", allow=True)


def read_bundle_of(folder: str) -> Bundle:
    """Return the bundle that `kvmnet render` wrote to a folder, for another host than this one. Raises KvmnetError."""
    return _read_bundle_folder(folder)


def _read_bundle_folder(folder: str) -> Bundle:
    from kvmnet.core.rendering.bundle_files import BundleError
    from kvmnet.definition_files import CannotRead
    from kvmnet.pipeline import read_bundle_folder

    try:
        return read_bundle_folder(Path(folder))
    except (BundleError, CannotRead, OSError) as error:
        raise KvmnetError(f"{folder} is not a bundle that can be applied: {error}") from error


def _render_bundles(console: Console, path: Optional[str], allow: Collection[str]) -> list[Bundle]:
    from kvmnet.core.base.problem import REPORTERS
    from kvmnet.pipeline import load

    console.show_progress("reading the definition")
    definition = load(path)
    console.show_progress(None)
    _require_unwritable(map(Path, definition.sources), allow)
    if definition.problems:
        reporter = REPORTERS["json" if console.as_json else "text"]
        write_stderr(reporter(definition.problems, definition.sources))
    if not definition.ok:
        console.print_event("problems", exit=exit_codes.PROBLEMS, count=len(definition.problems))
        raise typer.Exit(exit_codes.PROBLEMS)
    return definition.bundles()


def require_root(purpose: str) -> None:
    """Raise Refused unless the user is root; `purpose` is a verb phrase: what needs root."""
    if os.geteuid() != 0:
        raise Refused(f"only root can {purpose}", "run it with sudo", "KVN500")


def state_path() -> Path:
    """Return the state folder, /var/lib/kvmnet."""
    return Path(state_folder.STATE_FOLDER)
