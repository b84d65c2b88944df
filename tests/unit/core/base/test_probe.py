"""Probes as data."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.base.probe import OWN_KINDS, Probe, host_port, url_parts


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10.1.1.1:22", ("10.1.1.1", 22)),
        ("[2001:DB8::1]:65535", ("2001:db8::1", 65535)),
        ("a-b.example.org:1", ("a-b.example.org", 1)),
        *(
            (text, None)
            for text in (
                *("10.1.1.1", "10.1.1.1:0", "10.1.1.1:65536", "10.1.1.1:022", "10.1.1:22", "[10.1.1.1]:22", ":22"),
                *("::1:22", "[::1]", "[fe80::1%eth0]:22", "-a:22", "a b:22", "10.1.1.1:22 "),
            )
        ),
    ],
)
def test_a_host_and_port_are_parsed(text: str, wanted: Any) -> None:
    if wanted is not None:
        assert host_port(text) == wanted
        return
    with pytest.raises(ValueError):
        host_port(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("http://10.1.1.1", (False, "10.1.1.1", 80, "/")),
        ("https://a.example:8443/x?y=1", (True, "a.example", 8443, "/x?y=1")),
        ("https://[2001:db8::1]/", (True, "2001:db8::1", 443, "/")),
        *(
            (text, None)
            for text in (
                *("10.1.1.1", "ftp://a/", "http://", "http:///x", "http://a:0/", "http://a:70000/", "http://u:p@a/"),
                *("http://u@a/", "http://10.1.1.300/", "http://a/ b", "http://a/#b", "http://a/\r\nX: y", "http://ä/"),
            )
        ),
    ],
)
def test_a_url_is_parsed(text: str, wanted: Any) -> None:
    if wanted is not None:
        assert url_parts(text) == wanted
        return
    with pytest.raises(ValueError):
        url_parts(text)


PROBES = [
    Probe("gateway", "fe80::1", "br0"),
    Probe("peer", "10.1.0.9"),
    Probe("dns", "10.1.0.53"),
    Probe("ping", "10.1.0.7"),
    Probe("tcp", "10.1.0.7:22"),
    Probe("http", "http://10.1.0.7/"),
    Probe("command", command=("ceph", "-s")),
]


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_is_the_same_after_json(probe: Probe) -> None:
    assert Probe.from_json(probe.to_json()) == probe


@pytest.mark.parametrize(
    "row",
    [
        *({kind: "10.1.1.1"} for kind in ("gateway", "peer", "dns", "udp")),
        *({"ping": "10.1.1.1", **more} for more in ({"tcp": "10.1.1.1:22"}, {"device": "eth0"})),
        *({"command": value} for value in ("true", [], [1], [""], {"a": "b"})),
        *({"ping": "a"}, {"tcp": "10.1.1.1"}, {"http": "file:///etc/passwd"}, {}),
    ],
)
def test_a_probe_that_a_bundle_may_not_contain_is_rejected(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Probe.from_json(row, OWN_KINDS)
