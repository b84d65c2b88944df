"""Runs inside a lab machine, with the Python that has kvmnet: calls a backend once, and prints the result as JSON.

python inside.py BACKEND version|show|kernel    kernel: the kernel's part, completed from NetworkManager
python inside.py BACKEND apply STATE.json SECONDS LOG
python inside.py BACKEND commit CHECKPOINT        as at the end of a trial
"""

import json
import sys
from pathlib import Path
from typing import Any

from kvmnet.core.live.kernel_only import add_networkmanager
from kvmnet.host.connection_profiles import read_manager_state
from kvmnet.host.networkmanager_dbus import NetworkManager
from kvmnet.host.nmstate import NmstateError, find_backend

name, verb, *arguments = sys.argv[1:]
try:
    backend = find_backend(name)
    answer: Any = None
    if verb == "version":
        answer = backend.version()
    elif verb == "show":
        answer = backend.show()
    elif verb == "kernel":
        answer = add_networkmanager(backend.show(kernel_only=True), read_manager_state().devices)
    elif verb == "commit":
        with NetworkManager() as manager:
            manager.destroy_checkpoint(arguments[0])
    else:
        backend.apply(json.loads(Path(arguments[0]).read_text()), int(arguments[1]), Path(arguments[2]))
    print(json.dumps({"answer": answer}))
except NmstateError as error:
    print(json.dumps({"error": str(error), "details": error.details}))
