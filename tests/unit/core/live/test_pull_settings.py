"""The settings of pull mode."""

from __future__ import annotations

import pytest

from kvmnet.core.live.pull_settings import PULL_KEYS, PullSettings, make_pull_settings


def read(**lines: str) -> PullSettings:
    keys = {key.replace("_", "-"): text for key, text in lines.items()}
    return make_pull_settings({key: PULL_KEYS[key][1](text) for key, text in keys.items()})


def test_every_line_sets_its_field() -> None:
    settings = read(
        pull_repository="ssh://git@10.1.1.1/n.git",
        pull_branch="live",
        pull_path="site/states",
        pull_signers="/etc/kvmnet/allowed_signers",
        pull_adopt="yes",
        pull_allow="KVN520, KVN521",
        pull_allow_guest_loss="web1",
        pull_interval="2h",
    )
    assert settings == PullSettings(
        *("ssh://git@10.1.1.1/n.git", "live", "site/states", "/etc/kvmnet/allowed_signers", True),
        *(("KVN520", "KVN521"), ("web1",), 120),
    )
    assert settings.find_conflict() == ""


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("pull-repository", "/srv/n.git"),
        ("pull-branch", "-x"),
        *(("pull-path", path) for path in ("", "/etc", "../x", "a/../b", "a/", ":(glob)x", "-x", "a*", "./a", "a//b")),
        *(("pull-signers", path) for path in ("signers", "/etc/../x", "")),
        *(("pull-adopt", text) for text in ("true", "")),
        *(("pull-allow", text) for text in ("520", "KVN1", "KVN520 all")),
        ("pull-allow-guest-loss", "a=b"),
        *(("pull-interval", text) for text in ("0min", "30", "30s", "1.5h", "200h")),
    ],
)
def test_a_value_that_cannot_be_used_is_rejected(key: str, text: str) -> None:
    with pytest.raises(ValueError):
        PULL_KEYS[key][1](text)


def test_settings_that_contradict_each_other_are_found() -> None:
    assert PullSettings().find_conflict() == ""
    assert "need pull-repository" in PullSettings(adopt=True).find_conflict()
    for url in ("git://10.1.1.1/n.git", "http://10.1.1.1/n.git"):
        assert "does not authenticate the server" in PullSettings(url).find_conflict()
        assert PullSettings(url, signers="/etc/kvmnet/signers").find_conflict() == ""
