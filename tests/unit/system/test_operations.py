"""The table of operations, and the functions that belong to its entries."""

from __future__ import annotations

import pytest

from kvmnet.rescue import undo
from kvmnet.system import operations


def test_every_kind_of_undo_has_a_function() -> None:
    assert set(undo.UNDO) == set(operations.UNDO_KINDS)


def test_the_kinds_of_undo_of_every_operation_are_in_the_table() -> None:
    kinds = {kind for operation in operations.OPERATIONS.values() for kind in operation.undo_kinds}
    assert kinds <= set(operations.UNDO_KINDS.values())
    assert kinds | {operations.UNDO_PROFILE} == set(operations.UNDO_KINDS.values()), "only removals use `profile`"


def test_names_are_unique() -> None:
    constants = [value for value in vars(operations).values() if isinstance(value, operations.Operation)]
    assert len(constants) == len({operation.name for operation in constants}) == len(operations.OPERATIONS)


@pytest.mark.guarantee("G17")
def test_an_operation_without_an_undo_verifies_or_is_undone_with_another_one() -> None:
    changes_nothing = {"check links", "commit", "verify boot"}  # neither changes anything that the snapshot contains
    for operation in operations.OPERATIONS.values():
        if not operation.changes_host:
            assert operation.verifies or operation.name in changes_nothing
        if operation.undone_with:
            assert operations.OPERATIONS[operation.undone_with].undo_kinds and not operation.undo_kinds


def test_the_operations_that_interrupt_verify_and_open_checkpoints() -> None:
    """The time that the host was away and the search for the checkpoint depend on them."""
    table = operations.OPERATIONS.values()
    assert {o.name for o in table if o.interrupts_traffic} == {
        *("zone", "unbind zone", "rename", "clear", "bond option", "apply", "associations", "give back", "activate"),
        *("use copy", "set macs", "check settings", "check ethtool", "keep settings"),
    }
    assert {o.name for o in table if o.verifies} == {"read back", "as before", "probe", "confirm", "fetch"}
    assert {o.name for o in table if o.opens_checkpoint} == {"apply", "clear"}
    assert {o.name for o in table if o.waits} == {"probe", "confirm", "fetch"}


def test_at_boot_only_what_is_on_disk_or_in_the_kernel_is_undone() -> None:
    assert set(undo.AT_BOOT) == {"files", "rename", "hostname", "global dns"}


def test_an_operation_of_another_version_has_no_properties() -> None:
    for name in ("of a later version", None):
        operation = operations.find_operation(name)
        assert operation == operations.Operation(name or "")
        assert not (operation.interrupts_traffic or operation.verifies or operation.opens_checkpoint)
