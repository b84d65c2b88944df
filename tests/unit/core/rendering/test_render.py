"""Rendering a host's view: what the digest of a bundle covers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from pathlib import Path

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.rendering import bundle_files, render
from tests.generate import cluster
from tests.mutate import written
from tests.unit.core.rendering.samples import EXAMPLE, HOST


def test_the_digest_changes_only_with_the_hosts_own_view(tmp_path: Path) -> None:
    """Another host or a comment does not change it; an address does."""
    text = EXAMPLE.read_text()

    def digest(text: str) -> str:
        path = tmp_path / "cluster.yaml"
        path.write_text(text)
        definition = pipeline.load(str(path))
        assert definition.ok, definition.problems
        return definition.bundle(HOST).digest

    before = digest(text)
    other = "  other: {interfaces: {eth0: {network: private, addresses: [10.1.0.9]}}}\nguests:\n"
    assert digest("# a comment\n" + text.replace("guests:\n", other)) == before
    assert digest(text.replace("10.1.255.254", "10.1.255.253")) != before
    assert digest(text.replace("c0:00:02", "c0:00:03")) != before


def test_the_digest_covers_everything_in_the_bundle() -> None:
    for number in range(20):
        definition = pipeline.check([Source("f", written(cluster(random.Random(number)))[0])])
        for bundle in definition.bundles():
            content = dataclasses.asdict(bundle)
            del content["digest"]
            content["probes"] = [probe.to_json() for probe in bundle.probes]
            later_keys = ("probes", "profile_settings", "stated_macs", "stated_stp", "trusting")
            content = {key: value for key, value in content.items() if value or key not in later_keys}
            text = json.dumps(content, sort_keys=True, separators=(",", ":"))
            assert render.compute_digest(bundle) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
            assert bundle_files.read_bundle(bundle_files.format_bundle(bundle), pipeline.load_schema("state")) == bundle
