"""`kvmnet pull`: make this host match the bundle that a git repository has for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, report_failures
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import DEFAULT_TIMEOUT, DryRunOption, JsonEventsOption, read_allowed_codes
from kvmnet.cli.run_transaction import run_transaction
from kvmnet.cli.this_host import match_this_host, read_bundle_folders, require_root, state_path
from kvmnet.core.base.errors import KvmnetError, Refused, Usage

if TYPE_CHECKING:
    from kvmnet.core.live.pull_settings import PullSettings
    from kvmnet.core.rendering.bundle import Bundle
    from kvmnet.pull.update import PullRun

_ACCEPT_HELP = "Accept this commit although the branch was rewritten. COMMIT is its whole ID."
_RETRY_HELP = "Try a bundle again that was rolled back on this host."
_ENABLE_HELP = "Install and start the systemd timer that runs this command, with the interval of the configuration."
_DISABLE_HELP = "Stop the timer and remove its units."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet pull", "kvmnet pull --dry-run", "kvmnet pull --enable")
    app.command("pull", rich_help_panel=HOST, epilog=end)(pull)


def pull(
    dry_run: DryRunOption = False,
    accept: Annotated[Optional[str], typer.Option("--accept", metavar="COMMIT", help=_ACCEPT_HELP)] = None,
    retry: Annotated[bool, typer.Option("--retry", help=_RETRY_HELP)] = False,
    enable: Annotated[bool, typer.Option("--enable", help=_ENABLE_HELP)] = False,
    disable: Annotated[bool, typer.Option("--disable", help=_DISABLE_HELP)] = False,
    as_json: JsonEventsOption = False,
) -> None:
    """Fetch the git repository of rendered states, and make this host match its bundle.

    The repository and the permissions are set in /etc/kvmnet/kvmnet.conf. A new fetch confirms the change. If it fails,
    the host is rolled back, and the same bundle is not tried again.
    """
    if sum((enable, disable, dry_run or retry or accept is not None)) > 1:
        raise Usage("--enable and --disable cannot be combined with other options", "give only one of them")
    console = Console(as_json)
    with report_failures(console):
        require_root("change this host's network")
        if disable:
            exit_code = _change_units(console, None)
        elif enable:
            exit_code = _change_units(console, _read_settings().interval)
        else:
            exit_code = _pull(console, _read_settings(), dry_run, accept, retry)
    raise typer.Exit(exit_code)


def _read_settings() -> "PullSettings":
    """Return the settings of pull mode. Raises Refused when it is not configured."""
    from kvmnet.host.host_configuration import CONFIGURATION_FILE, read_host_configuration

    configuration = read_host_configuration()
    if configuration.problem:
        hint = "correct the file, and let only root write it"
        raise Refused(f"this host's configuration cannot be used: {configuration.problem}", hint, "KVN574")
    if not configuration.pull.repository:
        hint = f"write a line pull-repository = URL to {CONFIGURATION_FILE}"
        raise Refused("pull mode is not configured on this host", hint, "KVN574")
    return configuration.pull


def _change_units(console: Console, interval: Optional[int]) -> int:
    """Install the units of pull mode, or remove them when there is no interval."""
    from kvmnet.host import pull_units
    from kvmnet.system.errors import HostError

    try:
        if interval is None:
            pull_units.disable(console.print_line)
        else:
            pull_units.enable(interval, console.print_line)
    except (HostError, OSError) as error:
        raise KvmnetError(str(error)) from error
    console.print_event("result", exit=exit_codes.DONE, enabled=interval is not None)
    return exit_codes.DONE


def _pull(console: Console, settings: "PullSettings", dry_run: bool, accept: Optional[str], retry: bool) -> int:
    from kvmnet.core.base.git_remote import parse_remote
    from kvmnet.pull.mirror import Mirror
    from kvmnet.pull.update import open_run

    remote = parse_remote(settings.repository)
    with open_run(state_path(), settings, lambda folder: Mirror(folder, remote, settings.branch)) as run:
        with run.recording_failures():
            console.show_progress(f"fetching {remote.url}")
            commit = run.fetch(accept, dry_run)
            console.show_progress(None)
            console.print_event("fetched", repository=remote.url, branch=settings.branch, commit=commit)
            console.print_line(f"fetched {settings.branch} of {remote.url}: commit {commit[:12]}")
            bundle = _choose_bundle(run, commit)
            if _is_applied(bundle):
                run.finish("up to date", commit)
                console.print_event("result", exit=exit_codes.DONE, outcome="up to date", digest=bundle.digest)
                console.print_line(f"up to date: the bundle of {bundle.host} in this commit is applied already")
                return exit_codes.DONE
            if not retry:
                run.require_untried(bundle, commit)
            exit_code = _apply(console, run, bundle, dry_run)
        if not dry_run:
            _record_outcome(console, run, commit, exit_code)
        return exit_code


def _choose_bundle(run: "PullRun", commit: str) -> "Bundle":
    """Return the bundle of this host in the commit."""
    from kvmnet.host.read_live import read_hostname, read_links
    from kvmnet.pull.update import Identity
    from kvmnet.transaction.prepare import refuse_unreadable_host

    with refuse_unreadable_host():
        macs = {link.mac.lower(): link.name for link in read_links().values() if link.mac}
    folders = run.write_bundles(commit, Identity(macs, read_hostname()))
    return match_this_host(read_bundle_folders(folders), None)


def _is_applied(bundle: "Bundle") -> bool:
    from kvmnet.applied_record import read_applied_digest

    return read_applied_digest(state_path()) == bundle.digest


def _apply(console: Console, run: "PullRun", bundle: "Bundle", dry_run: bool) -> int:
    """Apply the bundle as `kvmnet apply --bundle` does, with a new fetch as the confirmation. Return the exit code."""
    from kvmnet.transaction.fetch_confirmation import FetchConfirmation
    from kvmnet.transaction.prepare import ChangeOptions, Prepared, prepare

    settings = run.settings
    wishes = ChangeOptions(
        timeout=DEFAULT_TIMEOUT,
        confirm=0,
        allow=read_allowed_codes(list(settings.allow)),
        lose=frozenset(settings.allow_guest_loss),
        adopt=settings.adopt,
        fetch=FetchConfirmation(run.mirror.remote, settings.branch),
    )

    def prepare_change(state_dir: Path) -> Prepared:
        return prepare(bundle, state_dir, wishes, console.show_progress)

    return run_transaction(console, prepare_change, yes=True, dry_run=dry_run)


def _record_outcome(console: Console, run: "PullRun", commit: str, exit_code: int) -> None:
    """Record how the change ended, and print it: the last line in the journal of the service."""
    from kvmnet.transaction.history import read_history, read_open_transaction

    if exit_code == exit_codes.DONE:
        run.finish("applied", commit)
        console.print_line(f"applied commit {commit[:12]}")
        return
    history = read_history(state_path())
    still_open = read_open_transaction(state_path())
    last = history[-1] if history and not still_open else None
    reason = (still_open.why if still_open else last.why if last else None) or "see `kvmnet history`"
    if last is not None and last.outcome == "rolled back":
        run.finish("rolled back", reason=reason)
        text = "was rolled back and is not tried again until its bundle changes"
    elif exit_code == exit_codes.NOT_VERIFIED:
        run.finish("rolled back", reason=reason)
        text = "was rolled back, but the host was not verified (see `kvmnet status`)"
    else:
        run.finish("failed", reason=reason)
        text = "was not applied"
    console.print_line(f"commit {commit[:12]} {text}: {reason}")
