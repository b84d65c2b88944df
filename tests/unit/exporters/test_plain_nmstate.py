"""Tests of kvmnet/exporters/_plain_nmstate.py, and of the exporters to plain nmstate: nncp, nmstate-service and
assisted-installer."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml

from kvmnet.exporters import EXPORTERS
from kvmnet.exporters._plain_nmstate import CannotExport
from tests.unit.exporters.samples import TEXT, bundles, renaming_bundle

PLAIN = ("nncp", "nmstate-service", "assisted-installer")


def test_a_policy_selects_its_node_and_has_the_state() -> None:
    first, second = bundles()
    files = EXPORTERS.find("nncp").export([first, second])
    assert list(files) == ["hv1.yaml", "HV_2.yaml"]
    policy = yaml.safe_load(files["hv1.yaml"].text)
    assert (policy["apiVersion"], policy["kind"]) == ("nmstate.io/v1", "NodeNetworkConfigurationPolicy")
    assert policy["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "hv1"} and policy["spec"]["maxUnavailable"] == 1
    assert policy["spec"]["desiredState"] == first.state
    assert yaml.safe_load(files["HV_2.yaml"].text)["metadata"]["name"] == "site-hv-2"
    assert files["hv1.yaml"].text.startswith("# NodeNetworkConfigurationPolicy of host hv1")


def test_a_state_for_the_service_is_readable_by_root_alone() -> None:
    first, second = bundles()
    files = EXPORTERS.find("nmstate-service").export([first, second])
    file = files["hv1/50-kvmnet.yml"]
    assert file.mode == 0o600 and yaml.safe_load(file.text) == first.state
    assert yaml.safe_load(files["HV_2/50-kvmnet.yml"].text) == second.state


def test_the_assisted_installer_gets_a_state_and_a_map_of_macs_for_each_host() -> None:
    first, second = bundles()
    (file,) = EXPORTERS.find("assisted-installer").export([first, second]).values()
    hosts = json.loads(file.text)
    assert [yaml.safe_load(host["network_yaml"]) for host in hosts] == [first.state, second.state]
    assert hosts[0]["mac_interface_map"] == [{"mac_address": "00:14:4f:80:de:01", "logical_nic_name": "eth0"}]


def test_the_assisted_installer_needs_mac_addresses() -> None:
    text = TEXT.replace("mac: 00:14:4f:80:de:02, ", "")
    with pytest.raises(CannotExport, match="MAC address, which is missing for eth0 of host HV_2"):
        EXPORTERS.find("assisted-installer").export(bundles(text))


@pytest.mark.parametrize("name", PLAIN)
def test_a_host_whose_nics_are_renamed_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(CannotExport) as error:
        EXPORTERS.find(name).export([*bundles(), renaming_bundle()])
    assert "host vm-container-0-0: nmstate cannot rename NICs (eth0 to peth0)" in error.value.message
    assert "host vm-container-0-0: its guests' devices exist on demand" in error.value.message
    assert "hv1" not in error.value.message


@pytest.mark.parametrize("name", PLAIN)
def test_settings_that_only_a_profile_can_have_are_refused(name: str) -> None:
    first = dataclasses.replace(bundles()[0], profile_settings={"br-eth0": {"bridge.vlan-filtering": True}})
    with pytest.raises(CannotExport, match=r"nmstate has no key for bridge\.vlan-filtering of br-eth0"):
        EXPORTERS.find(name).export([first])
