"""The forms of names that become names of files and interfaces, arguments of programs, and text on a terminal.

Every name from a file is checked against one of them where it is read; the schemas in schemas/ have the same patterns.
None can begin with a dash (an option of a program), be a path, or contain blanks, line breaks or control characters.
"""

from __future__ import annotations

import re

#: Characters of an interface name. IFNAMSIZ in linux/if.h is 16, including the terminating NUL.
MAX_INTERFACE_NAME = 15

INTERFACE_NAME = rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_INTERFACE_NAME - 1}}}"
#: What the kernel accepts as the name of an interface (dev_valid_name), without control characters.
KERNEL_NAME = rf"(?!\.\.?\Z)[^\s/:\x00-\x1f\x7f-\x9f]{{1,{MAX_INTERFACE_NAME}}}"
#: A key of an interface in a definition. The kernel's name may be another one.
INTERFACE_KEY = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}"
#: The name of a cluster, host, network, group or guest.
NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
POLICY_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
HOSTNAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
DOMAIN_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?"
#: A MAC address in lower case: 6 bytes, or 20 of InfiniBand.
MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}((:[0-9a-f]{2}){14})?"
LINK_FILE = rf"00-kvmnet-{INTERFACE_NAME}\.link"
UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def has_form(form: str, text: object) -> bool:
    """Whether a value is text of one of the forms above."""
    return isinstance(text, str) and re.fullmatch(form, text) is not None


def require_form(form: str, text: object, what: str) -> str:
    """Return a name. Raises ValueError, with `what` it is, if it does not have the form."""
    if not has_form(form, text):
        raise ValueError(f"{what} {text!a:.60} is not valid")
    return str(text)
