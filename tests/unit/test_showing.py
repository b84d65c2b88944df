"""When the kernel alone tells the live state, and what it is with NetworkManager's part."""

from __future__ import annotations

import copy
from typing import Any, Optional

import pytest

from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import Managed
from kvmnet.host import read_live
from kvmnet.host.connection_profiles import Manager

STATIC = Managed(100, ("manual", "disabled"))


KERNEL: State = {
    "interfaces": [
        {"name": "lo", "type": "loopback", "state": "up", "ipv4": {"enabled": True, "address": []}},
        {
            "name": "eth0",
            "type": "ethernet",
            "state": "up",
            "ipv4": {"enabled": True, "address": [{"ip": "10.1.1.1", "prefix-length": 16}]},
            "ipv6": {"enabled": True, "address": [{"ip": "fd00::1", "prefix-length": 64}]},
        },
    ]
}


def wanted(**said: Any) -> State:
    return {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", **said}]}


class Asked:
    """A backend that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def show(self, kernel_only: bool = False) -> State:
        self.asked.append(kernel_only)
        return copy.deepcopy(KERNEL)


@pytest.mark.parametrize(
    ("state", "held", "asked"),
    [
        (wanted(), STATIC, [True]),
        (wanted(ipv4={"enabled": True, "dhcp": True}), STATIC, [False]),
        (wanted(), Managed(100, ("auto", "disabled")), [False]),
        (None, STATIC, [False]),
    ],
)
def test_which_of_them_is_asked(state: Optional[State], held: Managed, asked: list[bool]) -> None:
    backend = Asked()
    read_live._show(backend, Manager((), {"eth0": held}), state)  # type: ignore[arg-type]
    assert backend.asked == asked
