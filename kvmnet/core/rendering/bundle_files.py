"""Converts a bundle to the files of its folder and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, Optional

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.nmstate import State
from kvmnet.core.base.probe import OWN_KINDS, Probe
from kvmnet.core.base.problem import as_text
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.definition.document import Leaf, Map, Node, Seq, Source, parse
from kvmnet.core.definition.schema import Schema
from kvmnet.core.rendering.bundle import FORMAT, Bundle, Nic
from kvmnet.core.rendering.render import compute_digest
from kvmnet.core.rendering.yaml_writer import to_yaml

STATE_FILE, GUESTS_FILE, BUNDLE_FILE = "nmstate.yml", "guests.yml", "bundle.json"
LINK_FILE = re.compile(r"00-kvmnet-[A-Za-z0-9._-]+\.link\Z")


def is_bundle_file(name: str) -> bool:
    """Whether a file of this name can be part of a bundle."""
    return name in (STATE_FILE, GUESTS_FILE, BUNDLE_FILE) or bool(LINK_FILE.match(name))


class BundleError(KvmnetError):
    """The files are not a valid bundle. The message has the reason."""


def format_bundle(bundle: Bundle) -> dict[str, str]:
    """Return the files of a bundle's folder, name to text. Equal bundles give equal bytes."""
    files = {STATE_FILE: _state_header(bundle) + to_yaml(bundle.state)}
    if bundle.guests is not None:
        files[GUESTS_FILE] = _guests_header(bundle) + to_yaml(bundle.guests)
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
    if bundle.profile_settings:
        index["profile-settings"] = bundle.profile_settings
    if bundle.stated_macs:
        index["stated-macs"] = list(bundle.stated_macs)
    if bundle.stated_stp:
        index["stated-stp"] = list(bundle.stated_stp)
    if bundle.trusting:
        index["trusting"] = list(bundle.trusting)
    return index


def _state_header(bundle: Bundle) -> str:
    """Return the comment at the top of nmstate.yml."""
    lines = [
        "# nmstate state, written by kvmnet render. Do not edit it: kvmnet rejects an edited bundle.",
        f"# Host {bundle.host} of cluster {bundle.cluster}, without the devices of running guests.",
    ]
    nics = [nic for nic in bundle.nics if nic.mac is not None]
    if nics:
        lines.append("# It refers to the NICs by these names:")
        lines += [f"#   {nic.name}: the NIC with MAC {nic.mac}" for nic in nics]
    if bundle.links:
        lines.append(
            "# kvmnet apply renames the NICs. nmstatectl cannot: rename them before you use it with this file."
        )
    return "\n".join(lines) + "\n---\n"


def _guests_header(bundle: Bundle) -> str:
    """Return the comment at the top of guests.yml."""
    return (
        "# nmstate state, written by kvmnet render. Do not edit it: kvmnet rejects an edited bundle.\n"
        f"# Host {bundle.host} of cluster {bundle.cluster}: devices that exist only while a guest runs.\n"
        "# kvmnet apply does not apply this file. When a guest starts, kvmnet's hook creates its VLAN devices, and\n"
        "# libvirt creates its macvtaps and names them macvtap0, macvtap1, ... The names in this file are used only\n"
        "# if you apply it with nmstatectl, together with nmstate.yml.\n---\n"
    )


def read_bundle(files: Mapping[str, str], state_schema: Schema) -> Bundle:
    """Return the bundle of a folder's files. `state_schema` is the schema of nmstate states.

    Raises BundleError if a file is missing or does not belong to the bundle, if the format is unknown, if a state is
    not valid, or if the digest does not match because a file was edited.
    """
    if BUNDLE_FILE not in files:
        _fail(f"not a bundle: {BUNDLE_FILE} is missing")
    try:
        index = json.loads(files[BUNDLE_FILE])
        if not isinstance(index, dict):
            _fail(f"{BUNDLE_FILE} must contain a JSON object")
        if index.get("format") != FORMAT:
            _fail(f"the bundle has format {index.get('format')!r}, but this version of kvmnet needs format {FORMAT}")
        links = [str(name) for name in index["links"]]
        expected = [STATE_FILE, *([GUESTS_FILE] if index["guests"] else []), *links]
        missing = [name for name in expected if name not in files]
        if missing:
            _fail(f"files of the bundle are missing: {', '.join(missing)}")
        bundle = Bundle(
            cluster=str(index["cluster"]),
            host=str(index["host"]),
            profile=str(index["profile"]),
            nics=tuple(_read_nic(row) for row in index["nics"]),
            state=_read_state(files, STATE_FILE, state_schema),
            guests=_read_state(files, GUESTS_FILE, state_schema) if index["guests"] else None,
            links={name: files[name] for name in links},
            digest=str(index["digest"]),
            probes=tuple(Probe.from_json(row, OWN_KINDS) for row in index.get("probes", [])),
            profile_settings=_read_profile_settings(index.get("profile-settings", {})),
            stated_macs=tuple(str(name) for name in index.get("stated-macs", [])),
            stated_stp=tuple(str(name) for name in index.get("stated-stp", [])),
            trusting=tuple(str(mac) for mac in index.get("trusting", [])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{BUNDLE_FILE} cannot be read: {type(error).__name__}: {error}") from None
    surplus = [n for n in files if (n == GUESTS_FILE or LINK_FILE.match(n)) and n not in expected]
    if surplus:
        _fail(f"files do not belong to the bundle: {', '.join(sorted(surplus))}")
    invalid = [name for name in links if not LINK_FILE.match(name)]
    if invalid:
        _fail(f"{invalid[0]!r} is not a name of kvmnet's .link files")
    if compute_digest(bundle) != bundle.digest:
        _fail("the bundle was edited after it was rendered (its digest does not match): render it again")
    return bundle


def _fail(message: str) -> NoReturn:
    raise BundleError(message)


def _read_profile_settings(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of connection profiles. Raises BundleError for one that this version of kvmnet cannot set."""
    for name, settings in data.items():
        for key, value in settings.items():
            if key not in PROFILE_SETTINGS or not PROFILE_SETTINGS[key].is_valid(value):
                _fail(f"this version of kvmnet cannot set {key} of {name} to {value!r}: render the bundle again")
    return {str(name): dict(settings) for name, settings in data.items()}


def _read_nic(row: Mapping[str, Any]) -> Nic:
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


def _read_state(files: Mapping[str, str], name: str, schema: Schema) -> State:
    tree, problems = parse(Source(name, files[name]))
    if tree is not None:
        tree, schema_problems = schema.apply(tree)
        problems += schema_problems
    if problems:
        _fail(as_text(problems[:1], files).rstrip("\n"))
    state = to_plain_data(tree) if tree is not None else None
    if not isinstance(state, dict):
        _fail(f"{name} is empty")
    return state


def to_plain_data(node: Node) -> Any:
    """Return a typed tree as plain dicts, lists and scalars."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Seq):
        return [to_plain_data(item) for item in node.items]
    assert isinstance(node, Map)
    return {key: to_plain_data(entry.node) for key, entry in node.entries.items()}
