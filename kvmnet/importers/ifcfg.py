"""Imports a host from ifcfg files: those that Rocks wrote on a KVM host, and those of EL 7 to EL 9."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kvmnet.core.definition.document import Source
from kvmnet.importers import Importer, ImportResult
from kvmnet.importers._draft import Draft, Origin, write_draft
from kvmnet.importers._ifcfg.files import read_folder
from kvmnet.importers._ifcfg.state import make_state
from kvmnet.importers._report import Report
from kvmnet.importers._state.convert import add_host, name_host

_TITLE = """Imported from ifcfg files. The comments name the file and line of each part.
Networks have names that kvmnet chose: rename them. Check the definition: kvmnet validate."""
#: Folders that do not name a host.
_COMMON_FOLDERS = ("network-scripts", "sysconfig", "etc", "", ".")


def read(sources: Sequence[Source]) -> ImportResult:
    """Return the definition of the host that the files configure, and the report. All files are of one host."""
    report, draft = Report(), Draft(_TITLE, "imported", "plain")
    names = [source.name for source in sources]
    state, origins = make_state(read_folder(sources, report), report)
    if not state["interfaces"]:
        for name in names[:1]:
            report.lose("there is no file of an interface (ifcfg-NAME)", Origin(name, 0))
        return ImportResult("", report.sorted(names))
    folders = [part for name in names for part in name.split("/")[:-1] if part not in _COMMON_FOLDERS]
    name = name_host(state, folders[-1] if folders else "host")
    add_host(draft, re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "host", state, origins, report)
    return ImportResult(write_draft(draft), report.sorted(names))


IMPORTER = Importer("ifcfg", "Import a host from the files of /etc/sysconfig/network-scripts.", read)
