"""A bundle to the files of its folder, and back.

The YAML is written by an emitter of our own: states are small and regular, and the bytes must not depend on
which version of a library happens to be installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn, Optional

from kvmnet.core.bundle import FORMAT, Bundle, Nic, State
from kvmnet.core.document import Leaf, Map, Node, Seq, Source, parse
from kvmnet.core.errors import KvmnetError
from kvmnet.core.probe import OWN_KINDS, Probe
from kvmnet.core.problem import Problem, as_text
from kvmnet.core.render import digest_of
from kvmnet.core.schema import Schema

STATE_FILE, GUESTS_FILE, BUNDLE_FILE = "nmstate.yml", "guests.yml", "bundle.json"
LINK_FILE = re.compile(r"00-kvmnet-[A-Za-z0-9._-]+\.link\Z")

#: Words that some YAML reader takes for something else than text.
_AMBIGUOUS = re.compile(r"(y|n|yes|no|on|off|true|false|null|none|nan|inf)\Z", re.IGNORECASE)
_PLAIN = re.compile(r"([A-Za-z][A-Za-z0-9._/-]*|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?)\Z")


class BundleError(KvmnetError):
    """A folder is not a bundle that this kvmnet can use; the text says why."""


def to_yaml(value: Any) -> str:
    """Plain dicts, lists and scalars as YAML, in the order they are in."""
    return "".join(line + "\n" for line in _block(value, ""))


def _block(value: Any, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines += _item(f"{indent}{_scalar(key)}:", item, indent + "  ")
    else:
        for item in value:
            if isinstance(item, (dict, list)) and item:
                inner = _block(item, indent + "  ")
                lines += [f"{indent}- {inner[0].lstrip()}", *inner[1:]]
            else:
                lines += _item(f"{indent}-", item, indent + "  ")
    return lines


def _item(head: str, item: Any, indent: str) -> list[str]:
    if isinstance(item, dict) and item:
        return [head, *_block(item, indent)]
    if isinstance(item, list) and item:
        return [head, *_block(item, indent[:-2])]
    return [f"{head} {_scalar(item)}"]


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if value in ({}, []):
        return "{}" if isinstance(value, dict) else "[]"
    raise TypeError(f"a state holds no {type(value).__name__}")


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """Text without quotes where every YAML reader takes it for text. Keys and words come again and again."""
    return value if _PLAIN.match(value) and not _AMBIGUOUS.match(value) else json.dumps(value)


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
