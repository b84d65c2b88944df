"""URLs of git repositories."""

from __future__ import annotations

import pytest

from kvmnet.core.base.git_remote import is_branch_name, parse_remote


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ssh://git@git.example.org/network.git", ("ssh", "git.example.org", 22)),
        ("ssh://git@git.example.org:2222/network.git", ("ssh", "git.example.org", 2222)),
        ("git@git.example.org:network/states.git", ("ssh", "git.example.org", 22)),
        ("10.1.1.1:/srv/network.git", ("ssh", "10.1.1.1", 22)),
        ("https://git.example.org/network.git", ("https", "git.example.org", 443)),
        ("https://[2001:db8::1]:8443/network.git", ("https", "2001:db8::1", 8443)),
        ("http://10.1.1.1:8080/network.git", ("http", "10.1.1.1", 8080)),
        ("git://10.1.1.1/network.git", ("git", "10.1.1.1", 9418)),
    ],
)
def test_the_server_of_a_repository_is_found(url: str, expected: tuple[str, str, int]) -> None:
    remote = parse_remote(url)
    assert (remote.url, (remote.protocol, remote.host, remote.port)) == (url, expected)
    assert remote.is_authenticated is (expected[0] in ("ssh", "https"))


@pytest.mark.parametrize(
    "url",
    [
        *("", "/srv/network.git", "./network", "file:///srv/network.git", "ext::sh -c id", "ext::sh", "fd::3"),
        *("--upload-pack=id", "-x:y", "https://", "https://git.example.org", "https://u:secret@git.example.org/n.git"),
        *("https://git.example.org/n.git?x", "https://git.example.org/n.git#x", "ssh://-oProxyCommand=id/n.git"),
        *("https://git.example.org/a b", "https://git.example.org/\n", "https://git.example.org:99999/n", "ä:n"),
    ],
)
def test_what_is_no_repository_on_a_server_is_rejected(url: str) -> None:
    with pytest.raises(ValueError):
        parse_remote(url)


def test_names_of_branches() -> None:
    assert all(map(is_branch_name, ["main", "release/2026.1", "a-b_c+d"]))
    odd = [
        "",
        "-x",
        "a..b",
        "a:b",
        "a b",
        "a*",
        "/a",
        "a/",
        "a.lock",
        "a//b",
        "refs^",
        "@{-1}",
        "a\\b",
        "a/.b",
        "a.",
        "~",
    ]
    assert not any(map(is_branch_name, odd))
