"""The steps of a change, in order. Each is plain data with its undo.

The order makes the change safe; the reasons are beside the steps and in docs/explanation/transaction.md. Both
generations of udev and kernel were tested.

Until the commit nothing is on disk but the journal: `.link` files and connection profiles are under /run, so a power
cut restores the host. While the change is saved, the files on disk boot at every moment: the NIC's profile is bound to
the MAC address first (it serves the NIC under either name), then the NIC gets its permanent name, then bridges are
saved, then the NICs as their ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import dns_of, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.base.profile_settings import VLAN_FILTERING, ZONE
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.expected_readback import expected_rules, make_expectations
from kvmnet.core.planning.plan import Plan
from kvmnet.transaction import (
    adoption_steps,
    boot_steps,
    copy_steps,
    ethtool_steps,
    naming_steps,
    saving_steps,
    trial_steps,
    verification_steps,
)
from kvmnet.transaction.fetch_confirmation import FetchConfirmation, confirm_by_fetch
from kvmnet.transaction.step import Step
from kvmnet.transaction.trial_steps import KnownProfiles
from kvmnet.transaction.zone_choice import choose_zone


@dataclass(frozen=True)
class Terms:
    """What the caller decides. `timeout`: seconds that the trial may take before NetworkManager rolls it back by
    itself. `confirm`: seconds to wait for `kvmnet confirm` then (0: no confirmation). `fetch`: the repository of which
    a new fetch confirms the change instead, within these seconds. `probes`: the targets that reply now and must reply
    after the change. `record`: the files (path to text) that record what is applied; `stale`: those of an earlier
    bundle."""

    timeout: int
    probes: tuple[Probe, ...] = ()
    record: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    confirm: int = 0
    fetch: Optional[FetchConfirmation] = None


def compile_steps(plan: Plan, live: Live, known: KnownProfiles, terms: Terms) -> list[Step]:
    """The steps that carry the plan out, in order."""
    steps = [
        *naming_steps.write_runtime_link_files(plan, live),
        *trial_steps.clear_names(plan, live, known, terms.timeout),
        *copy_steps.create_copies(plan),
        *naming_steps.rename_nics(plan, live),
        *copy_steps.use_copies(plan),
        *trial_steps.bind_names(plan, live),
        *trial_steps.prepare_profiles(plan, live, known),
        *trial_steps.set_profile_settings(plan, live, known),
        *trial_steps.drop_bond_options(plan, live),
        *trial_steps.apply_state(plan, live, known, terms.timeout, terms.confirm),
        *adoption_steps.hand_over_ports(plan, live),
        *trial_steps.set_macs(plan, live),
        *trial_steps.check_profile_settings(plan),
        *ethtool_steps.check_ethtool(plan),
        *trial_steps.keep_dhcp_iaids(plan, live),
        *adoption_steps.keep_settings(plan, live),
        *trial_steps.clear_primary_ports(plan, live),
    ]
    read_back = _read_back(plan, live, known)
    steps += [read_back, *verification_steps.probe(terms.probes, terms.timeout)]
    if terms.fetch is not None:
        steps.append(confirm_by_fetch(terms.fetch, terms.confirm))
        steps.append(verification_steps.read_back_again(read_back))
    elif terms.confirm:
        steps += verification_steps.wait_for_confirmation(terms.confirm)
        steps.append(verification_steps.read_back_again(read_back))
    return [
        *steps,
        *saving_steps.keep_change(plan, live),
        *naming_steps.unbind_old_zones(plan, live),
        *saving_steps.write_guest_settings(plan),
        *saving_steps.let_multicast_through(plan, live),
        *boot_steps.verify_boot(plan, live),
        saving_steps.record_applied(terms.record, terms.stale),
    ]


def _read_back(plan: Plan, live: Live, known: KnownProfiles) -> Step:
    defined_names = {i["name"] for i in interfaces_of(plan.bundle.state)}
    virtual = live.virtual_ips
    expect = make_expectations(plan.desired, plan.profile_settings, virtual)
    left_definition = [e for e in make_expectations(plan.state, None, virtual) if e["name"] not in defined_names]
    expect += left_definition
    sent = [i["name"] for i in interfaces_of(plan.state) if i["state"] == "up"]
    activated = trial_steps.activated_by_old_profiles(plan, live, known)
    stated = [name for name in sent if ZONE.name in plan.bundle.profile_settings.get(name, {})]
    zones = {name: zone for name in (*activated, *stated) if (zone := choose_zone(name, plan, live))}
    rules = expected_rules(plan.desired, plan.state)
    bridges = _find_bridges_with_own_vlans(plan, live)
    return verification_steps.read_back(expect, sent, dns_of(plan.state), zones, rules, bridges)


def _find_bridges_with_own_vlans(plan: Plan, live: Live) -> list[str]:
    """Return the existing bridges that nmstate is given and whose own VLANs the change leaves alone: they filter VLANs
    before and after, and it sets no VLAN of a port and no other default VLAN. NetworkManager 1.42 sets the VLANs of
    the bridge itself to those of its profile, which nmstate cannot state, when it reapplies that."""
    return [
        i["name"]
        for i in interfaces_of(plan.state)
        if i["type"] == "linux-bridge" and i["state"] == "up" and _keeps_own_vlans(i, plan, live)
    ]


def _keeps_own_vlans(bridge: Mapping[str, Any], plan: Plan, live: Live) -> bool:
    name, section = bridge["name"], bridge.get("bridge", {})
    if name not in live.links or any("vlan" in port for port in section.get("port", ())):
        return False
    options = live.links[name].options
    default_vlan = section.get("options", {}).get("vlan-default-pvid")
    return bool(
        options.get("vlan_filtering")
        and plan.profile_settings.get(name, {}).get(VLAN_FILTERING.name, True)
        and default_vlan in (None, options.get("vlan_default_pvid"))
    )
