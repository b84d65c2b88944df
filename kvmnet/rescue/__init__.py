"""The rescue program: it rolls the open transaction back, also when kvmnet is no longer installed.

It uses kvmnet/system and the standard library only, and runs on the system's Python. Input: the state folder with the
open transaction, its snapshot and its journal. Output: the host as the snapshot describes it, verified, or the list of
differences. It can be run again at any time, because every undo checks the host before it acts.

kvmnet/transaction installs both packages as one file, /var/lib/kvmnet/rescue.pyz (see archive.py).
"""

from __future__ import annotations

#: What `--self-test` prints: whether Python runs the program from its byte code or, as it does when the byte code is of
#: another version, from its sources.
BYTE_CODE, SOURCES = "byte code", "sources"
