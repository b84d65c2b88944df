"""Reads NetworkManager's connection profiles with nmcli. Its output is parsed only here."""

from __future__ import annotations

from collections.abc import Sequence

from kvmnet.system import programs
from kvmnet.system.errors import HostError

#: One line for each field, as nmcli 1.42 and 1.52 print it; only `-m tabular` would escape ":" in values.
_SHOW = ("nmcli", "-t", "-m", "multiline", "-e", "no", "-f")

#: Fields whose values may contain any character.
FREE_TEXT = ("NAME", "connection.id", "connection.zone", "match.interface-name", "ipv4.dhcp-client-id")


def show_profiles(fields: Sequence[str], paths: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the fields of connection profiles as nmcli prints them: of the profiles at these D-Bus paths, in their
    order, or of all.

    The first field must be one that every profile has. A field is missing if the profile does not have its setting.
    Raises HostError.

    Texts that other users choose, such as the name of a profile, may contain line breaks and whole lines of nmcli's
    output. So these fields come last, where they cannot replace others, and if there are more profiles than were asked
    for, each is read alone.
    """
    fields = sorted(fields, key=lambda field: field in FREE_TEXT)  # stable
    records = _run_show(fields, paths)
    if paths and len(records) != len(paths):
        return [_join_records(_run_show(fields, [path])) for path in paths]
    return records


def _join_records(records: list[dict[str, str]]) -> dict[str, str]:
    """Return the fields of one profile whose name looks like further profiles: the first value of each field is right,
    since the name is printed after it. Raises HostError if there is no profile."""
    if not records:
        raise HostError("nmcli connection show: prints no profile")
    joined: dict[str, str] = {}
    for record in records:
        joined = {**record, **joined}
    return joined


def _run_show(fields: Sequence[str], paths: Sequence[str]) -> list[dict[str, str]]:
    selection = [word for path in paths for word in ("path", path)]
    command = (*_SHOW, ",".join(fields), "connection", "show", *selection)
    try:
        text = programs.run(*command)
    except HostError as error:  # the message without hundreds of paths
        raise HostError(str(error).replace(" ".join(command), "nmcli connection show")) from error
    records = _parse(text.removesuffix("\n"), fields)
    if paths:  # nmcli prints an empty line between profiles
        records = [{field: value.rstrip("\n") for field, value in record.items()} for record in records]
    return records


def _parse(text: str, fields: Sequence[str]) -> list[dict[str, str]]:
    """Split `FIELD:VALUE` lines into records, each of which begins with the first field. A line without a field
    continues the value before it, since the name of a profile may have line breaks."""
    records: list[dict[str, str]] = []
    current = ""
    for line in text.split("\n"):
        field, separator, value = line.partition(":")
        if separator and field == fields[0]:
            records.append({})
        if records:
            if separator and field in fields and field not in records[-1]:
                records[-1][field] = value
                current = field
            else:
                records[-1][current] += f"\n{line}"
    return records
