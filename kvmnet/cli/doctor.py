"""`kvmnet doctor`: what this host has and lacks."""

import json
from typing import TYPE_CHECKING, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import write_stdout
from kvmnet.cli.help import HOST, examples
from kvmnet.cli.options import JsonOption, PathArgument
from kvmnet.cli.this_host import state_path

if TYPE_CHECKING:
    from kvmnet.core.doctor import Finding
    from kvmnet.core.live.host_facts import HostFacts


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("sudo kvmnet doctor", "sudo kvmnet doctor cluster.yaml", "sudo kvmnet doctor --json")
    app.command("doctor", rich_help_panel=HOST, epilog=end)(doctor)


def doctor(path: PathArgument = None, as_json: JsonOption = False) -> None:
    """Examine this host: what it has and lacks for changes and for guests.

    Each finding has a severity, a code (see `kvmnet explain`) and a command that fixes it. With PATH, or once a bundle
    is applied, NICs that the definition does not name are found too. This command changes nothing.

    The exit code is 1 if something that `kvmnet apply` requires is missing.
    """
    from kvmnet.core.doctor import ERROR, examine
    from kvmnet.host.read_doctor import read_host_facts

    facts = read_host_facts(state_path(), _find_known_nics(path))
    findings = examine(facts)
    write_stdout(_format_json(facts, findings) if as_json else _format_text(facts, findings))
    if any(finding.severity == ERROR for finding in findings):
        raise typer.Exit(exit_codes.PROBLEMS)


def _find_known_nics(path: Optional[str]) -> Optional[frozenset[str]]:
    """Return the MAC addresses of the NICs of the definition at `path`, or of the applied bundle, or the names of those
    without one; None without a definition and a bundle."""
    from kvmnet.applied_record import read_applied
    from kvmnet.cli.definition import load_definition
    from kvmnet.core.base.errors import Refused

    if path is not None:
        bundles = load_definition(path).bundles()
    else:
        try:
            applied = read_applied(state_path())
        except (Refused, PermissionError):
            return None
        if applied is None:
            return None
        bundles = [applied]
    return frozenset(nic.mac or nic.name for bundle in bundles for nic in bundle.nics)


def _versions(facts: "HostFacts") -> dict[str, Optional[str]]:
    versions = {"nmstate": facts.nmstate, "NetworkManager": facts.networkmanager, "libvirt": facts.libvirt}
    return {**{name: version or None for name, version in versions.items()}, "python": facts.python}


def _format_text(facts: "HostFacts", findings: list["Finding"]) -> str:
    from kvmnet.core.base.problem import printable
    from kvmnet.core.doctor import SEVERITIES

    lines = [", ".join(f"{name} {version or '(none)'}" for name, version in _versions(facts).items())]
    for finding in findings:
        lines.append(f"{finding.severity} {finding.code}: {finding.message}")
        lines += [f"  fix: {finding.fix}"] if finding.fix else []
    counts = [(sum(f.severity == severity for f in findings), severity) for severity in SEVERITIES]
    counted = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)
    is_ready = counts[0][0] == 0
    state = "has what kvmnet apply requires" if is_ready else "lacks what kvmnet apply requires"
    return "".join(f"{printable(line)}\n" for line in (*lines, f"this host {state}: {counted}"))


def _format_json(facts: "HostFacts", findings: list["Finding"]) -> str:
    from kvmnet.core.doctor import ERROR

    document = {
        "ready": not any(finding.severity == ERROR for finding in findings),
        "versions": _versions(facts),
        "findings": [finding.to_json() for finding in findings],
    }
    return json.dumps(document, indent=2) + "\n"
