"""A bundle as the files of its folder: reading them back, and rejecting edited ones."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.render import compute_digest
from tests.unit.core.rendering.samples import example_bundle, read_bundle


@pytest.fixture
def bundle() -> Bundle:
    return example_bundle()


def test_a_bundle_is_read_back_from_its_files(bundle: Bundle) -> None:
    files = bundle_files.format_bundle(bundle)
    assert sorted(files) == ["00-kvmnet-peth0.link", "bundle.json", "guests.yml", "nmstate.yml"]
    assert read_bundle(files) == bundle


def test_the_files_begin_with_an_explanation(bundle: Bundle) -> None:
    files = bundle_files.format_bundle(bundle)
    header = files["nmstate.yml"].split("---")[0]
    assert "peth0: the NIC with MAC 00:14:4f:80:de:00" in header and "nmstatectl cannot" in header
    assert "libvirt creates its macvtaps" in files["guests.yml"].split("---")[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("bundle.json"), "not a bundle"),
        (lambda f: f.pop("nmstate.yml"), "missing: nmstate.yml"),
        (lambda f: f.pop("guests.yml"), "missing: guests.yml"),
        (lambda f: f.pop("00-kvmnet-peth0.link"), "missing: 00-kvmnet-peth0.link"),
        (lambda f: f.update({"bundle.json": "{"}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[]"}), "must contain a JSON object"),
        (lambda f: f.update({"bundle.json": '{"format": 1}'}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[" * 100_000}), "cannot be read"),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"format": 1', '"format": 99')}), "has format 99"),
        (
            lambda f: f.update({"bundle.json": f["bundle.json"].replace("peth0", "peth1")}),
            "missing: 00-kvmnet-peth1.link",
        ),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"eth0"', '"eth7"')}), "was edited"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("255.254", "255.253")}), "was edited"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("state: up", "state: absent", 1)}), "must be up"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"] + "capture: {}\n"}), "unknown key 'capture'"),
        (lambda f: f.update({"nmstate.yml": "# empty\n"}), "is empty"),
        (lambda f: f.update({"00-kvmnet-peth0.link": "[Link]\nName=x\n"}), "was edited"),
        (lambda f: f.update({"00-kvmnet-eth9.link": "[Link]\n"}), "do not belong to the bundle: 00-kvmnet-eth9.link"),
    ],
)
def test_an_edited_or_incomplete_bundle_is_rejected(
    bundle: Bundle, change: Callable[[dict[str, str]], Any], message: str
) -> None:
    files = bundle_files.format_bundle(bundle)
    change(files)
    with pytest.raises(bundle_files.BundleError) as error:
        read_bundle(files)
    assert message in error.value.message


def test_the_index_has_the_documented_keys(bundle: Bundle) -> None:
    index = json.loads(bundle_files.format_bundle(bundle)["bundle.json"])
    assert list(index) == ["format", "cluster", "host", "profile", "digest", "guests", "links", "nics"]


def test_probes_are_in_the_index_and_in_the_digest(bundle: Bundle) -> None:
    probes = (Probe("tcp", "10.1.1.1:22"), Probe("command", command=("ceph", "-s")))
    unsigned = dataclasses.replace(bundle, probes=probes)
    with_probes = dataclasses.replace(unsigned, digest=compute_digest(unsigned))
    assert with_probes.digest != bundle.digest
    files = bundle_files.format_bundle(with_probes)
    assert json.loads(files["bundle.json"])["probes"] == [{"tcp": "10.1.1.1:22"}, {"command": ["ceph", "-s"]}]
    assert read_bundle(files) == with_probes
    for old, new in (('"ceph"', '"reboot"'), ('"tcp"', '"dns"'), ('"tcp"', '"ping"')):
        with pytest.raises(bundle_files.BundleError):
            read_bundle({**files, "bundle.json": files["bundle.json"].replace(old, new)})


def test_settings_of_profiles_are_in_the_index_and_unknown_ones_are_refused(bundle: Bundle) -> None:
    def files_with(settings: Any) -> tuple[Bundle, dict[str, str]]:
        unsigned = dataclasses.replace(bundle, profile_settings=settings, stated_macs=("eth0",))
        signed = dataclasses.replace(unsigned, digest=compute_digest(unsigned))
        return signed, bundle_files.format_bundle(signed)

    signed, files = files_with({"eth0": {"bridge.vlan-filtering": True}})
    assert read_bundle(files) == signed
    for setting, value in (("bridge.vlan-filtering", "yes"), ("bridge.of-a-later-kvmnet", True)):
        with pytest.raises(bundle_files.BundleError) as error:
            read_bundle(files_with({"eth0": {setting: value}})[1])
        assert error.value.message == (
            f"this version of kvmnet cannot set {setting} of eth0 to {value!r}: render the bundle again"
        )


def signed(bundle: Bundle, **changes: Any) -> dict[str, str]:
    """The files of a changed bundle with the right digest: whoever can edit a bundle can compute it too."""
    changed = dataclasses.replace(bundle, **changes)
    return bundle_files.format_bundle(dataclasses.replace(changed, digest=compute_digest(changed)))


EVIL = "x\x1b[2J\n::error::y"


@pytest.mark.guarantee("G91")
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"cluster": EVIL}, "cluster contains a line break, a control character"),
        ({"host": "a\u202eb"}, "host contains"),
        ({"host": "--host=evil"}, "host: must be a name"),
        ({"host": "../../etc"}, "host: must be a name"),
        ({"profile": "-rf"}, "profile: must be a name"),
        ({"stated_macs": ("-x",)}, "stated-macs 1: must be an interface name"),
        ({"trusting": ("any",)}, "trusting 1: must be a MAC address"),
        ({"profile_settings": {"a b": {}}}, "the key 'a b' must be an interface name"),
        ({"probes": (Probe("command", command=("sh", "-c", "a\nb")),)}, "probes 1 command 3 contains"),
    ],
)
def test_a_bundle_with_anything_that_kvmnet_does_not_write_is_rejected(
    bundle: Bundle, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(bundle_files.BundleError) as error:
        read_bundle(signed(bundle, **changes))
    assert fault in error.value.message and error.value.message.isprintable()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interface", EVIL),
        ("name", "../eth0"),
        ("name", "-x"),
        ("name", "a-name-that-is-too-long"),
        ("kernel_name", "eth0;reboot"),
        ("mac", "any"),
        ("bridge", "br 0"),
        ("link_file", "00-kvmnet-../x.link"),
        ("link_file", "99-own.link"),
    ],
)
def test_a_nic_with_an_invalid_name_is_rejected(bundle: Bundle, key: str, value: str) -> None:
    nics = (dataclasses.replace(bundle.nics[0], **{key: value}), *bundle.nics[1:])
    with pytest.raises(bundle_files.BundleError) as error:
        read_bundle(signed(bundle, nics=nics))
    assert error.value.message.isprintable()


@pytest.mark.guarantee("G91")
@pytest.mark.parametrize(
    "text",
    [
        "[Match]\nOriginalName=*\n[Link]\nName=peth0\n",
        "[Match]\nPermanentMACAddress=00:14:4f:80:de:00\n\n[Link]\nName=peth0\nMACAddress=02:00:00:00:00:01\n",
    ],
)
def test_a_link_file_that_kvmnet_would_not_write_is_rejected(bundle: Bundle, text: str) -> None:
    with pytest.raises(bundle_files.BundleError, match=r"00-kvmnet-peth0\.link is not what kvmnet writes"):
        read_bundle(signed(bundle, links={**bundle.links, "00-kvmnet-peth0.link": text}))


def test_a_link_file_without_a_nic_is_rejected(bundle: Bundle) -> None:
    extra = {**bundle.links, "00-kvmnet-eth9.link": bundle.links["00-kvmnet-peth0.link"]}
    with pytest.raises(bundle_files.BundleError, match=r"00-kvmnet-eth9\.link is not what kvmnet writes"):
        read_bundle(signed(bundle, links=extra))
    nic = dataclasses.replace(bundle.nics[0], mac=None)
    with pytest.raises(bundle_files.BundleError, match=r"cannot be the \.link file of NIC peth0"):
        read_bundle(signed(bundle, nics=(nic,)))


def test_a_file_with_a_name_like_a_link_file_is_noticed(bundle: Bundle) -> None:
    files = {**bundle_files.format_bundle(bundle), "00-kvmnet-\x1b\n.link": ""}
    with pytest.raises(bundle_files.BundleError, match="do not belong to the bundle") as error:
        read_bundle(files)
    assert error.value.message.isprintable()


def test_a_hostname_that_is_an_option_of_hostnamectl_is_rejected(bundle: Bundle) -> None:
    state = {**bundle.state, "hostname": {"config": "--host=evil"}}
    with pytest.raises(bundle_files.BundleError, match="must be a hostname"):
        read_bundle(signed(bundle, state=state))


def test_an_error_in_a_state_does_not_show_its_line(bundle: Bundle) -> None:
    with pytest.raises(bundle_files.BundleError) as error:
        read_bundle({**bundle_files.format_bundle(bundle), "nmstate.yml": "root:$6$secret$hash:19000:0\n\t: x\n"})
    assert "secret" not in error.value.message
