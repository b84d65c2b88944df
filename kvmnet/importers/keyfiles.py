"""Imports a host from NetworkManager's connection profiles: the keyfiles of /etc/NetworkManager/system-connections."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kvmnet.core.definition.document import Source
from kvmnet.importers import Importer, ImportResult
from kvmnet.importers._draft import Draft, Origin, write_draft
from kvmnet.importers._keyfiles.files import read_profiles
from kvmnet.importers._keyfiles.state import make_state
from kvmnet.importers._report import Report
from kvmnet.importers._state.convert import add_host

_TITLE = """Imported from NetworkManager's connection profiles. The comments name the file and line of each part.
Networks have names that kvmnet chose: rename them. Check the definition: kvmnet validate."""
#: Folders that do not name a host.
_COMMON_FOLDERS = ("system-connections", "NetworkManager", "etc", "usr", "lib", "run", "", ".", "..")


def read(sources: Sequence[Source]) -> ImportResult:
    """Return the definition of the host that the files configure, and the report. All files are of one host."""
    report, draft = Report(), Draft(_TITLE, "imported", "plain")
    names = [source.name for source in sources]
    profiles = read_profiles(sources, report)
    if not profiles:
        for name in names[:1]:
            report.lose("there is no connection profile of an interface", Origin(name, 0))
        return ImportResult("", report.sorted(names))
    state, origins = make_state(profiles, report)
    folders = [part for name in names for part in name.split("/")[:-1] if part not in _COMMON_FOLDERS]
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", folders[-1] if folders else "host").strip("-._") or "host"
    add_host(draft, host, state, origins, report)
    return ImportResult(write_draft(draft), report.sorted(names))


IMPORTER = Importer("keyfiles", "Import a host from NetworkManager's connection profiles.", read)
