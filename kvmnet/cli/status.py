"""`kvmnet status`: the open transaction, or the drift from what was applied."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import Console, print_json, print_text, report_failures, write_stdout
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.history import format_ended, format_time
from kvmnet.cli.options import JsonOption
from kvmnet.cli.this_host import require_root, state_path
from kvmnet.core.base.errors import KvmnetError, Usage

if TYPE_CHECKING:
    from kvmnet.core.live.pull_settings import PullSettings
    from kvmnet.core.live.surroundings import HostConfiguration
    from kvmnet.pull.record import PullRecord
    from kvmnet.transaction.history import OpenTransaction

_PROMETHEUS_HELP = (
    "Write metrics to this file, for the textfile collector of Prometheus' node_exporter, instead of text; "
    "- for standard output."
)
_EXIT_CODE_HELP = "Exit with code 6 if a transaction is open or drift is detected."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples(
        "kvmnet status",
        "kvmnet status --exit-code > /dev/null || echo check this host",
        "kvmnet status --prometheus /var/lib/prometheus/node-exporter/kvmnet.prom",
    )
    app.command("status", rich_help_panel=HOST, epilog=end)(status)


def status(
    as_json: JsonOption = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help=_EXIT_CODE_HELP)] = False,
    prometheus: Annotated[
        Optional[str], typer.Option("--prometheus", metavar="FILE", help=_PROMETHEUS_HELP, show_default=False)
    ] = None,
) -> None:
    """Show the open transaction or, if none is open, the drift of this host.

    Drift means that the host differs from what was applied last. This command changes nothing.
    """
    from kvmnet.host.host_configuration import read_host_configuration
    from kvmnet.transaction.history import read_history, read_open_transaction

    if as_json and prometheus is not None:
        raise Usage("--json and --prometheus cannot be used together", "give one of them")
    console = Console(as_json)
    with report_failures(console):
        require_root("read kvmnet's state")
        open_transaction = read_open_transaction(state_path())
        if open_transaction is not None:
            report: dict[str, Any] = {"open": asdict(open_transaction)}
            lines, is_settled = format_open(open_transaction), False
        else:
            report, lines, is_settled = _find_drift(console, state_path())
        configuration = read_host_configuration()
        report["configuration"] = asdict(configuration)
        lines += _configuration_lines(configuration)
        pull_report, pull_lines = _describe_pull(configuration)
        report["pull"] = pull_report
        lines += pull_lines
        past = read_history(state_path())
        report["last"] = asdict(past[-1]) if past else None
        lines += [f"last change: {format_ended(past[-1])}"] if past else []
    if prometheus is not None:
        _write_metrics(prometheus, report)
    elif as_json:
        print_json(report)
    else:
        print_text("\n".join(lines))
    if exit_code and not is_settled:
        raise typer.Exit(exit_codes.DIFFERENT)


def _write_metrics(target: str, report: dict[str, Any]) -> None:
    """Write the metrics to a file, which is replaced as a whole, or to stdout for `-`. Raises KvmnetError."""
    from kvmnet import __version__
    from kvmnet.core.reporting.prometheus_text import format_metrics
    from kvmnet.system import files

    text = format_metrics(__version__, report)
    if target == "-":
        write_stdout(text)
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise KvmnetError(f"{path.parent} is not a folder", "give the folder of node_exporter's textfile collector")
    try:
        files.write_file(str(path), text.encode(), 0o644)
    except OSError as error:
        raise KvmnetError(f"{target} cannot be written: {error.strerror}") from error


def _configuration_lines(configuration: "HostConfiguration") -> list[str]:
    """Return the lines about settings of this host that are not the defaults, and about a file that cannot be used."""
    if configuration.problem:
        return [f"this host's configuration cannot be used: {configuration.problem}"]
    return ["commands of definitions may run on this host (allow-commands)"] if configuration.allows_commands else []


def _describe_pull(configuration: "HostConfiguration") -> tuple[Optional[dict[str, Any]], list[str]]:
    """Return how far this host has followed its repository, for JSON and as lines; None and no lines when pull mode
    has neither been configured nor run."""
    from kvmnet.pull.record import PullRecord, read_record

    settings, record = configuration.pull, read_record(state_path())
    if not settings.repository and record == PullRecord():
        return None, []
    return {"repository": settings.repository, "branch": settings.branch, **record.to_json()}, format_pull(
        settings, record
    )


def format_pull(settings: "PullSettings", record: "PullRecord") -> list[str]:
    """Return the lines about pull mode: the repository, how the last run ended, and what this host is behind."""
    source = f"branch {settings.branch} of {settings.repository}" if settings.repository else "not configured any more"
    if record.result is None:
        return [f"pull: {source}; not run yet"]
    lines = [f"pull: {source}", f"  {format_time(record.at)}: {record.result}"]
    if record.reason:
        lines[-1] += f": {f'{record.code}: ' if record.code else ''}{record.reason}"
    if record.is_behind:
        fetched, applied = (value[:12] if value else "none" for value in (record.fetched, record.applied))
        lines.append(f"  commit fetched: {fetched}; commit applied: {applied}")
    return lines


def format_open(transaction: "OpenTransaction") -> list[str]:
    """Return the lines about an open transaction: its step, its deadlines, and what to do about it."""
    from kvmnet.core.reporting.report import ACCEPT_COMMAND

    lines = [f"transaction {transaction.id} of {transaction.host} is open since {format_time(transaction.at)}"]
    lines.append(f"  {'rolling back' if transaction.undoing else 'now'}: {transaction.step}")
    if transaction.why is not None:
        lines.append(f"  reason: {transaction.why}")
        lines += [f"  likely reason: {text}" for text in transaction.likely]
    if transaction.confirm_left is not None:
        seconds = max(transaction.confirm_left, 0)
        lines.append(f"  waiting for `kvmnet confirm` over a new SSH connection: {seconds:.0f} s left")
    if transaction.left is not None:
        seconds = max(transaction.left, 0)
        lines.append(f"  the watchdog starts the rollback in {seconds:.0f} s if the current step has not ended by then")
    if not transaction.works:
        lines.append("  no process is working on it: run `kvmnet rollback`")
    if transaction.differences:
        lines += [
            "  differences from the state before the change:",
            *(f"    {line}" for line in transaction.differences),
        ]
    if transaction.mends:
        lines += ["  commands that may fix them:", *(f"    {line}" for line in transaction.mends)]
    if transaction.differences and not transaction.works:
        lines.append(f"  to accept the host as it is: {ACCEPT_COMMAND}")
    return lines


def _find_drift(console: Console, state_dir: Path) -> tuple[dict[str, Any], list[str], bool]:
    """Return the report for JSON, the lines of text, and whether the host is as it was applied."""
    from kvmnet.applied_record import read_applied
    from kvmnet.core.reporting.change_text import changes_to_json
    from kvmnet.core.reporting.report import format_descriptions, format_plan
    from kvmnet.transaction.prepare import find_drift

    bundle = read_applied(state_dir)
    if bundle is None:
        return {"open": None, "applied": None}, ["nothing is applied on this host"], True
    plan = find_drift(bundle, state_dir, console.show_progress)
    console.show_progress(None)
    report = {
        "open": None,
        "applied": {
            "host": bundle.host,
            "digest": bundle.digest,
            **({"descriptions": dict(bundle.descriptions)} if bundle.descriptions else {}),
        },
        "drift": changes_to_json(plan.changes),
    }
    described = format_descriptions(bundle.descriptions)
    if plan.empty:
        return report, [f"{bundle.host}: no drift from what was applied", *described], True
    _, _, changes = format_plan(plan).partition("\n")
    heading = f"{bundle.host}: drift detected; `kvmnet apply` would change:"
    return report, [heading, changes.rstrip("\n"), *described], False
