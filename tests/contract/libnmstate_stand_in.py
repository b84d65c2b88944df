"""A stand-in for the Python binding of nmstate. It calls the real C library.

Only EL has the binding (`python3-libnmstate`); the lab's machines are Debian. This module has the names, signatures,
defaults and errors that kvmnet uses (libnmstate 2.2.9 to 2.2.38), and calls the functions of nmstate.h. It is installed
on a lab machine as the module `libnmstate`, and never if the real one can be imported.
"""

import ctypes
import json
import logging
from typing import Any, Optional

__version__ = "@VERSION@"
BASE_ON_RUST = True

KERNEL_ONLY, NO_VERIFY, STATUS_DATA, SECRETS, NO_COMMIT, MEMORY_ONLY = (1 << bit for bit in range(1, 7))


class NmstateError(Exception):
    pass


class NmstateDependencyError(NmstateError):
    pass


class NmstateValueError(NmstateError, ValueError):
    pass


class NmstatePermissionError(NmstateError, PermissionError):
    pass


class NmstateVerificationError(NmstateError):
    pass


class NmstateKernelIntegerRoundedError(NmstateVerificationError):
    pass


class NmstateNotImplementedError(NmstateError, NotImplementedError):
    pass


class NmstateInternalError(NmstateError):
    pass


class NmstateNotSupportedError(NmstateError):
    pass


class NmstatePluginError(NmstateError):
    pass


_ERRORS = {
    "VerificationError": NmstateVerificationError,
    "InvalidArgument": NmstateValueError,
    "Bug": NmstateInternalError,
    "PluginFailure": NmstatePluginError,
    "NotImplementedError": NmstateNotImplementedError,
    "KernelIntegerRoundedError": NmstateKernelIntegerRoundedError,
    "NotSupportedError": NmstateNotSupportedError,
    "DependencyError": NmstateDependencyError,
    "PermissionError": NmstatePermissionError,
}

_library = ctypes.CDLL("libnmstate.so.2")
_text = ctypes.POINTER(ctypes.c_char_p)
_library.nmstate_net_state_retrieve.argtypes = (ctypes.c_uint32, _text, _text, _text, _text)
_library.nmstate_net_state_apply.argtypes = (ctypes.c_uint32, ctypes.c_char_p, ctypes.c_uint32, _text, _text, _text)
_library.nmstate_checkpoint_commit.argtypes = (ctypes.c_char_p, _text, _text, _text)
_library.nmstate_checkpoint_rollback.argtypes = (ctypes.c_char_p, _text, _text, _text)
_library.nmstate_cstring_free.argtypes = (ctypes.c_char_p,)
_library.nmstate_cstring_free.restype = None


def show(*, kernel_only: bool = False, include_status_data: bool = False, include_secrets: bool = False) -> Any:
    flags = kernel_only * KERNEL_ONLY | include_status_data * STATUS_DATA | include_secrets * SECRETS
    state = ctypes.c_char_p()
    try:
        _call(_library.nmstate_net_state_retrieve, flags, ctypes.byref(state), mapped=False)
        return json.loads(state.value or b"")
    finally:
        _library.nmstate_cstring_free(state)


def apply(
    desired_state: Any,
    *,
    kernel_only: bool = False,
    verify_change: bool = True,
    save_to_disk: bool = True,
    commit: bool = True,
    rollback_timeout: int = 60,
) -> None:
    flags = kernel_only * KERNEL_ONLY | (not verify_change) * NO_VERIFY
    flags |= (not commit) * NO_COMMIT | (not save_to_disk) * MEMORY_ONLY
    _call(_library.nmstate_net_state_apply, flags, json.dumps(desired_state).encode(), rollback_timeout)


def commit(*, checkpoint: Optional[bytes] = None) -> None:
    _call(_library.nmstate_checkpoint_commit, checkpoint)


def rollback(*, checkpoint: Optional[bytes] = None) -> None:
    _call(_library.nmstate_checkpoint_rollback, checkpoint)


def _call(function: Any, *arguments: Any, mapped: bool = True) -> None:
    """Call a function of the library: after its own arguments each has a log, the kind of an error, and its text.

    For `show` the binding does not map errors to classes, and prints their bytes.
    """
    log, kind, message = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_char_p()
    failed = function(*arguments, ctypes.byref(log), ctypes.byref(kind), ctypes.byref(message))
    log_text, error_kind, error_text = log.value, kind.value or b"", message.value or b""
    for pointer in (log, kind, message):
        _library.nmstate_cstring_free(pointer)
    for entry in json.loads(log_text or b"[]"):
        level = {"ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO}.get(
            entry["level"], logging.DEBUG
        )
        logging.log(level, "%s:%s: %s", entry["time"], entry["file"], entry["msg"])
    if not failed:
        return
    if not mapped:
        raise NmstateError(f"{error_kind!r}: {error_text!r}")
    name = error_kind.decode()
    raise _ERRORS[name](error_text.decode()) if name in _ERRORS else NmstateError(f"{name}: {error_text.decode()}")
