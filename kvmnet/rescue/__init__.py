"""The rescue program: it rolls an open transaction back, also when kvmnet is gone.

Standard library and kvmnet/system alone; run by the system's Python. Comes in: the state folder with the open
transaction, its snapshot and its journal. Goes out: the host as the snapshot has it, compared, or the list of what
differs.
It may be run again at any time: every undo looks at the host before it acts.

kvmnet/transaction installs both packages as one file, /var/lib/kvmnet/rescue.pyz (see archive.py).
"""

from __future__ import annotations

#: What the program runs from, as `--self-test` prints it: byte code that fits its Python, or the sources.
BYTE_CODE, SOURCES = "byte code", "sources"
