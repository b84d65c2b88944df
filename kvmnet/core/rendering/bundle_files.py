"""Converts a bundle to the files of its folder and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.base.nmstate import State
from kvmnet.core.base.probe import OWN_KINDS, Probe
from kvmnet.core.base.problem import as_text, printable
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.definition.document import Leaf, Map, Node, Seq, Source, parse
from kvmnet.core.definition.schema import Schema
from kvmnet.core.rendering.bundle import FORMAT, Bundle, Nic
from kvmnet.core.rendering.link_files import link_file_name, link_file_texts
from kvmnet.core.rendering.render import compute_digest
from kvmnet.core.rendering.yaml_writer import to_yaml

STATE_FILE, GUESTS_FILE, BUNDLE_FILE = "nmstate.yml", "guests.yml", "bundle.json"
#: What is taken for a .link file of kvmnet: more than a bundle can have, so that a file with such a name is noticed.
LINK_FILE = re.compile(r"00-kvmnet-.*\.link\Z", re.DOTALL)


class BundleSchemas(NamedTuple):
    """The schemas of a bundle's files: of nmstate states, and of bundle.json."""

    state_schema: Schema
    index_schema: Schema


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
    if bundle.descriptions:
        index["descriptions"] = dict(bundle.descriptions)
    if bundle.tagged_guests:
        index["tagged-guests"] = list(bundle.tagged_guests)
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


def read_bundle(files: Mapping[str, str], schemas: BundleSchemas) -> Bundle:
    """Return the bundle of a folder's files.

    Raises BundleError if a file is missing or does not belong to the bundle, if the format is unknown, if a file has
    anything that kvmnet does not write, or if the digest does not match because a file was edited.
    """
    index = _read_index(files, schemas.index_schema)
    links = [str(name) for name in index["links"]]
    expected = [STATE_FILE, *([GUESTS_FILE] if index["guests"] else []), *links]
    missing = [name for name in expected if name not in files]
    if missing:
        _fail(f"files of the bundle are missing: {', '.join(missing)}")
    surplus = [n for n in files if (n == GUESTS_FILE or LINK_FILE.match(n)) and n not in expected]
    if surplus:
        _fail(f"files do not belong to the bundle: {', '.join(sorted(printable(name) for name in surplus))}")
    bundle = Bundle(
        cluster=index["cluster"],
        host=index["host"],
        profile=index["profile"],
        nics=tuple(_read_nic(row) for row in index["nics"]),
        state=_read_state(files, STATE_FILE, schemas.state_schema),
        guests=_read_state(files, GUESTS_FILE, schemas.state_schema) if index["guests"] else None,
        links={name: files[name] for name in links},
        digest=index["digest"],
        probes=tuple(Probe.from_json(row, OWN_KINDS) for row in index.get("probes", [])),
        profile_settings=_read_profile_settings(index.get("profile-settings", {})),
        stated_macs=tuple(index.get("stated-macs", [])),
        stated_stp=tuple(index.get("stated-stp", [])),
        trusting=tuple(index.get("trusting", [])),
        descriptions=dict(index.get("descriptions", {})),
        tagged_guests=tuple(index.get("tagged-guests", [])),
    )
    if compute_digest(bundle) != bundle.digest:
        _fail("the bundle was edited after it was rendered (its digest does not match): render it again")
    _require_own_link_files(bundle)
    return bundle


def _read_index(files: Mapping[str, str], schema: Schema) -> Mapping[str, Any]:
    """Return the content of bundle.json. Raises BundleError if it is not valid."""
    if BUNDLE_FILE not in files:
        _fail(f"not a bundle: {BUNDLE_FILE} is missing")
    try:
        index = json.loads(files[BUNDLE_FILE])
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{BUNDLE_FILE} cannot be read: {type(error).__name__}: {error}") from None
    if not isinstance(index, dict):
        _fail(f"{BUNDLE_FILE} must contain a JSON object")
    if index.get("format") != FORMAT:
        version = printable(repr(index.get("format")))[:60]
        _fail(f"the bundle has format {version}, but this version of kvmnet needs format {FORMAT}")
    try:
        fault = schema.find_fault(index)
    except RecursionError:
        fault = "too many levels of nesting"
    if fault is not None:
        _fail(f"{BUNDLE_FILE} cannot be read: {fault}")
    return index


def _require_own_link_files(bundle: Bundle) -> None:
    """Raise BundleError unless the .link files are those that kvmnet writes for the NICs: udev would do whatever is in
    them, to any NIC."""
    for nic in bundle.nics:
        if nic.link_file is not None and (nic.mac is None or nic.link_file != link_file_name(nic.name)):
            _fail(f"{BUNDLE_FILE} cannot be read: {nic.link_file} cannot be the .link file of NIC {nic.name}")
    own = link_file_texts(bundle.nics)
    for name in sorted({*own, *bundle.links}):
        if own.get(name) != bundle.links.get(name):
            _fail(f"{name} is not what kvmnet writes for the NICs of the bundle: render it again")


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
    return Nic(
        interface=row["interface"],
        name=row["name"],
        kernel_name=row["kernel-name"],
        mac=row["mac"],
        bridge=row["bridge"],
        link_file=row["link-file"],
    )


def _read_state(files: Mapping[str, str], name: str, schema: Schema) -> State:
    tree, problems = parse(Source(name, files[name]))
    if tree is not None:
        tree, schema_problems = schema.apply(tree)
        problems += schema_problems
    if problems:
        # without the source line: a bundle is read as root, and what is in its folder may not be meant to be shown
        _fail(as_text(problems[:1], {}).rstrip("\n"))
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
