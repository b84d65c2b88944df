"""Writes a bundle as the files of its folder, and reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, Optional

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.nmstate import State
from kvmnet.core.base.probe import OWN_KINDS, Probe
from kvmnet.core.base.problem import Problem, as_text
from kvmnet.core.definition.document import Leaf, Map, Node, Seq, Source, parse
from kvmnet.core.definition.schema import Schema
from kvmnet.core.rendering.bundle import FORMAT, Bundle, Nic
from kvmnet.core.rendering.render import digest_of
from kvmnet.core.rendering.yaml_writer import to_yaml

STATE_FILE, GUESTS_FILE, BUNDLE_FILE = "nmstate.yml", "guests.yml", "bundle.json"
LINK_FILE = re.compile(r"00-kvmnet-[A-Za-z0-9._-]+\.link\Z")


def is_bundle_file(name: str) -> bool:
    """Whether a file of this name belongs to a bundle's folder."""
    return name in (STATE_FILE, GUESTS_FILE, BUNDLE_FILE) or bool(LINK_FILE.match(name))


class BundleError(KvmnetError):
    """A folder is not a bundle that this kvmnet can use; the text says why."""


def files_of(bundle: Bundle) -> dict[str, str]:
    """The folder of a bundle: relative file name to text, the same bytes for the same bundle."""
    files = {STATE_FILE: _state_head(bundle) + to_yaml(bundle.state)}
    if bundle.guests is not None:
        files[GUESTS_FILE] = _guests_head(bundle) + to_yaml(bundle.guests)
    files.update(sorted(bundle.links.items()))
    files[BUNDLE_FILE] = json.dumps(_index(bundle), indent=2) + "\n"
    return files


def _index(bundle: Bundle) -> dict[str, Any]:
    index: dict[str, Any] = {
        "format": FORMAT,
        "cluster": bundle.cluster,
        "host": bundle.host,
        "profile": bundle.profile,
        "digest": bundle.digest,
        "guests": bundle.guests is not None,
        "links": sorted(bundle.links),
        "nics": [
            {
                "interface": nic.interface,
                "name": nic.name,
                "kernel-name": nic.kernel_name,
                "mac": nic.mac,
                "bridge": nic.bridge,
                "link-file": nic.link_file,
            }
            for nic in bundle.nics
        ],
    }
    if bundle.probes:
        index["probes"] = [probe.to_json() for probe in bundle.probes]
    return index


def _state_head(bundle: Bundle) -> str:
    whose = f"Host {bundle.host} of cluster {bundle.cluster}"
    lines = [f"# {whose} at rest: an nmstate state, written by kvmnet render."]
    known = [nic for nic in bundle.nics if nic.mac is not None]
    if known:
        lines.append("# It expects these kernel names:")
        lines += [f"#   {nic.name} is the NIC {nic.mac}" for nic in known]
    if bundle.links:
        lines.append("# A bare nmstatectl cannot rename NICs: apply it with kvmnet apply, or after the rename.")
    return "\n".join(lines) + "\n---\n"


def _guests_head(bundle: Bundle) -> str:
    return (
        f"# What the guests of host {bundle.host} of cluster {bundle.cluster} bring when they run:\n"
        "# an nmstate state that goes with nmstate.yml, written by kvmnet render.\n"
        "# They attach on demand: libvirt makes the macvtap at guest start and names it itself\n"
        "# (macvtap0, macvtap1, ...); the names here are for whoever applies this state by hand.\n---\n"
    )


def read_bundle(files: Mapping[str, str], state_schema: Schema) -> Bundle:
    """The bundle of a folder's files; `state_schema` is schemas/state.

    Raises BundleError: a file is missing or surplus, the format is unknown, a state is not one of ours, or
    the digest is not that of the content (somebody edited it).
    """
    if BUNDLE_FILE not in files:
        _refuse(f"there is no {BUNDLE_FILE}: this is not a bundle")
    try:
        index = json.loads(files[BUNDLE_FILE])
        if not isinstance(index, dict):
            _refuse(f"{BUNDLE_FILE} is not an index")
        if index.get("format") != FORMAT:
            _refuse(f"the bundle's format is {index.get('format')!r}; this kvmnet knows {FORMAT}")
        links = [str(name) for name in index["links"]]
        wanted = [STATE_FILE, *([GUESTS_FILE] if index["guests"] else []), *links]
        missing = [name for name in wanted if name not in files]
        if missing:
            _refuse(f"the bundle lacks {', '.join(missing)}")
        bundle = Bundle(
            cluster=str(index["cluster"]),
            host=str(index["host"]),
            profile=str(index["profile"]),
            nics=tuple(_nic(row) for row in index["nics"]),
            state=_state(files, STATE_FILE, state_schema),
            guests=_state(files, GUESTS_FILE, state_schema) if index["guests"] else None,
            links={name: files[name] for name in links},
            digest=str(index["digest"]),
            probes=tuple(Probe.from_json(row, OWN_KINDS) for row in index.get("probes", [])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{BUNDLE_FILE} cannot be read: {type(error).__name__}: {error}") from None
    surplus = [n for n in files if (n == GUESTS_FILE or LINK_FILE.match(n)) and n not in wanted]
    if surplus:
        _refuse(f"the bundle does not know {', '.join(sorted(surplus))}")
    bad = [name for name in links if not LINK_FILE.match(name)]
    if bad:
        _refuse(f"{bad[0]!r} is not the name of a .link file of ours")
    if digest_of(bundle) != bundle.digest:
        _refuse("the bundle was changed after it was rendered (its digest does not fit): render it again")
    return bundle


def _refuse(words: str) -> NoReturn:
    raise BundleError(words)


def _nic(row: Mapping[str, Any]) -> Nic:
    def text(key: str) -> Optional[str]:
        return None if row[key] is None else str(row[key])

    return Nic(
        interface=str(row["interface"]),
        name=str(row["name"]),
        kernel_name=text("kernel-name"),
        mac=text("mac"),
        bridge=text("bridge"),
        link_file=text("link-file"),
    )


def _state(files: Mapping[str, str], name: str, schema: Schema) -> State:
    tree, problems = parse(Source(name, files[name]))
    if tree is not None:
        tree, found = schema.apply(tree)
        problems += found
    if problems:
        _refuse(_first(problems, files))
    state = plain(tree) if tree is not None else None
    if not isinstance(state, dict):
        _refuse(f"{name} is empty")
    return state


def _first(problems: list[Problem], files: Mapping[str, str]) -> str:
    return as_text(problems[:1], files).rstrip("\n")


def plain(node: Node) -> Any:
    """A typed tree as plain dicts, lists and scalars."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Seq):
        return [plain(item) for item in node.items]
    assert isinstance(node, Map)
    return {key: plain(entry.node) for key, entry in node.entries.items()}
