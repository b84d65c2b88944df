"""Why a host could not be read: the program that failed, or NetworkManager, which has stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.host.networkmanager_dbus import NMError
from kvmnet.system.errors import HostError
from kvmnet.transaction import prepare


class Manager:
    """NetworkManager, which runs until it has been asked so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def version(self) -> str:
        self.times -= 1
        if self.times < 0:
            raise NMError("NetworkManager does not answer")
        return "1.52"


@pytest.mark.parametrize(
    ("times", "code", "words"), [(9, "KVN512", "nmcli: not found"), (1, "KVN504", "NetworkManager")]
)
def test_what_failed_is_the_reason(monkeypatch: pytest.MonkeyPatch, times: int, code: str, words: str) -> None:
    """A program that is not there is no NetworkManager that does not run; one that has gone meanwhile is."""

    def fails() -> None:
        raise HostError("NetworkManager's profiles: nmcli: not found")

    monkeypatch.setattr(prepare, "read_manager_state", fails)
    with pytest.raises(Refused, match=words) as told, prepare.refuse_unreadable_host():
        prepare._read(None, Manager(times), Path("/nowhere"))  # type: ignore[arg-type]
    assert told.value.code == code
