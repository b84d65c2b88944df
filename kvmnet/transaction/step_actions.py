"""The action of each operation: what a step does. Its undo is in kvmnet/rescue/undo.py, which needs nothing of this."""

from __future__ import annotations

from collections.abc import Callable

from kvmnet.system import operations
from kvmnet.system.operations import Operation
from kvmnet.transaction import (
    adoption_actions,
    boot_actions,
    copy_actions,
    ethtool_actions,
    fetch_confirmation,
    naming_actions,
    removal_actions,
    saving_actions,
    trial_actions,
    verification_actions,
)
from kvmnet.transaction.action_context import Context
from kvmnet.transaction.step import Step

Action = Callable[[Context, Step], str]
"""Carries a step out and returns its result for the journal. Raises one of action_context.ERRORS when it fails."""

ACTIONS: dict[Operation, Action] = {
    operations.WRITE_FILES: naming_actions.write_files,
    operations.CHECK_LINKS: naming_actions.check_link_files,
    operations.REBIND: naming_actions.rebind_profile,
    operations.COPY_PROFILE: copy_actions.copy_profile,
    operations.USE_COPY: copy_actions.use_copy,
    operations.ZONE: naming_actions.bind_zone,
    operations.UNBIND_ZONE: naming_actions.unbind_zone,
    operations.RENAME: naming_actions.rename_nic,
    operations.CLEAR: trial_actions.clear_names,
    operations.BIND_NAME: trial_actions.bind_name,
    operations.SEED: trial_actions.create_profiles,
    operations.DROP_OPTIONS: trial_actions.drop_bond_options,
    operations.SET_SETTINGS: trial_actions.set_profile_settings,
    operations.APPLY: trial_actions.apply_state,
    operations.HAND_OVER: adoption_actions.hand_over,
    operations.KEEP_SETTINGS: adoption_actions.keep_settings,
    operations.SET_MACS: trial_actions.set_macs,
    operations.CHECK_SETTINGS: trial_actions.check_profile_settings,
    operations.CHECK_ETHTOOL: ethtool_actions.check_ethtool,
    operations.ASSOCIATIONS: trial_actions.keep_dhcp_iaids,
    operations.BOND_OPTION: trial_actions.set_bond_option,
    operations.READ_BACK: verification_actions.read_back,
    operations.PROBE: verification_actions.probe_targets,
    operations.CONFIRM: verification_actions.wait_for_confirmation,
    operations.FETCH: fetch_confirmation.fetch_again,
    operations.COMMIT: trial_actions.commit_trial,
    operations.WRITE_PROFILE: saving_actions.write_rebound_profile,
    operations.HOSTNAME: saving_actions.set_hostname,
    operations.STAY_DOWN: saving_actions.keep_down,
    operations.SAVE: saving_actions.save_profiles,
    operations.FORGET: saving_actions.delete_profiles,
    operations.VERIFY_BOOT: boot_actions.verify_boot,
    operations.MULTICAST: saving_actions.let_multicast_through,
    operations.GIVE_BACK: removal_actions.restore_original,
    operations.ACTIVATE: removal_actions.activate_profiles,
    operations.AS_BEFORE: removal_actions.compare_with_original,
}


def run_step(context: Context, step: Step) -> str:
    """Carry a step out; returns its result for the journal. Raises one of action_context.ERRORS when it fails."""
    return ACTIONS[operations.OPERATIONS[step["op"]]](context, step)
