"""Tests of tests/versions.py and tests/simulated_host.py: pairs of definitions, and a host that takes plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.planning.plan import make_plan
from kvmnet.core.review.host_review import review_changed_host
from tests import versions
from tests.simulated_host import carry_out, new_host, plug_in


def test_pairs_are_valid_and_most_of_them_differ() -> None:
    pairs = [versions.pair(number) for number in range(8)]
    assert all(old.ok and new.ok for old, new in pairs)
    assert sum(old.bundles() != new.bundles() for old, new in pairs) > 5


def test_a_simulated_host_has_what_was_applied() -> None:
    for bundle in versions.pair(3)[0].bundles():
        host = plug_in(new_host(bundle.host, {}), bundle.nics)
        plan = make_plan(bundle, host)
        assert not plan.empty
        assert make_plan(bundle, carry_out(plan, host)).empty


def test_a_review_that_lacks_a_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*arguments: Any) -> Any:
        review = review_changed_host(*arguments)
        return replace(review, changes=review.changes[1:]) if review else None

    monkeypatch.setattr(versions, "review_changed_host", lacking)
    wrong, _, changed = versions.run(4)
    assert changed and wrong and all("plan only: changes: " in line for line in wrong)
