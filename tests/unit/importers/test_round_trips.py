"""Round trips of generated definitions: rendered, printed as the files of another tool, and imported again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.rendering.yaml_writer import to_yaml
from kvmnet.importers import IMPORTERS, ImportResult
from tests.fuzz import load
from tests.generate import cluster
from tests.importing import differences, write_ifcfg, write_keyfiles

SEEDS = range(25)
Writer = Callable[[Any], list[Source]]


def write_nmstate(state: Any) -> list[Source]:
    return [Source("host.yml", to_yaml(state))]


#: What each format cannot express, or what an import reports instead of stating it.
LOSSES = {
    # A rendered state has no permanent MAC addresses, so whether a bond has that of a port is unknown: reported.
    "nmstate": r"bond[0-9]\.mac-address: ",
    "keyfiles": r"bond[0-9]\.mac-address: ",
    # Nor have ifcfg files names for all settings of bridges, and the initscripts know no metric of DHCP.
    "ifcfg": r"bond[0-9]\.mac-address: |[a-z0-9.-]+\.(bridge\.options\.|ipv[46]\.auto-|state: )",
}
WRITERS: dict[str, Writer] = {"nmstate": write_nmstate, "keyfiles": write_keyfiles, "ifcfg": write_ifcfg}


def definition_of(result: ImportResult) -> pipeline.Definition:
    definition = pipeline.check([Source("cluster.yaml", result.definition)])
    assert [p for p in definition.problems if p.is_error] == [], result.definition
    return definition


def states(seed: int) -> Iterator[Any]:
    for bundle in load(cluster(Random(seed))).bundles():
        if bundle.state.get("interfaces"):
            yield bundle.state


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rendered_state_comes_back(name: str, seed: int) -> None:
    for state in states(seed):
        result = IMPORTERS.find(name).read(WRITERS[name](state))
        (bundle,) = definition_of(result).bundles()
        lost = [line for line in differences(state, bundle.state) if not re.match(LOSSES[name], line)]
        assert lost == [], "\n".join([*lost, result.definition, *(f"{i.file}: {i.message}" for i in result.report)])
