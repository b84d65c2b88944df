"""Read the host: everything that a plan is made from, once."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import all_static, asks_only_the_kernel, lasting, with_manager
from kvmnet.core.live.live_host import UNREADABLE, Link, Live
from kvmnet.core.planning.defaults import completed
from kvmnet.core.planning.ownership import OWNED_FILE, Note, from_note
from kvmnet.core.rendering.guest_settings import SETTINGS_FILE
from kvmnet.core.rendering.hook_record import HOOK_FILE
from kvmnet.host.connection_profiles import Manager
from kvmnet.host.networkmanager_dbus import NetworkManager
from kvmnet.host.nmstate import Backend
from kvmnet.pipeline import read_applied
from kvmnet.system import firewalld, links, programs

LINK_DIR = Path("/etc/systemd/network")
OURS = "00-kvmnet-*.link"


def hostname() -> str:
    """The name the machine calls itself, domain and all."""
    return socket.gethostname()


def read_links() -> dict[str, Link]:
    """Every link of the kernel; quick, needs neither nmstate nor NetworkManager."""
    return {
        name: Link(
            name,
            link["mac"] if link["type"] == "ether" else None,
            link["kind"],
            tuple(link["altnames"]),
            link["master"],
            _base(name) if link["kind"] else None,
        )
        for name, link in links.read_links().items()
    }


def _base(name: str) -> str | None:
    """What a VLAN or macvtap stands on; a bridge's or bond's ports are told by their master."""
    if Path(f"/sys/class/net/{name}/bridge").exists() or Path(f"/sys/class/net/{name}/bonding").exists():
        return None
    lower = sorted(p.name for p in Path(f"/sys/class/net/{name}").glob("lower_*"))
    return lower[0].partition("_")[2] if lower else None


def read_note(state_dir: Path) -> Note:
    """What of the host is kvmnet's; nothing before the first apply, or for one who may not look. Raises Refused when
    it is damaged: without it kvmnet's own would be taken for other people's, and never given back."""
    path = state_dir / "applied" / OWNED_FILE
    try:
        return from_note(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        return Note()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"put its text back from transaction.json of the last kept change, in {state_dir}/history"
        raise Refused(f"{path}, which says what is kvmnet's, is damaged: {error!r}", hint, "KVN563") from error


def applied_digest(state_dir: Path) -> str | None:
    """The digest of the bundle that was applied last; None before the first, and where its files are damaged: the
    next apply writes them anew then."""
    try:
        bundle = read_applied(state_dir)
    except PermissionError:
        return UNREADABLE
    except Refused:
        return None
    return bundle.digest if bundle is not None else None


def read_live(
    backend: Backend, manager: NetworkManager, state_dir: Path, held: Manager, wanted: Optional[State] = None
) -> Live:
    """Everything that a plan is made from; the surroundings, which only a change asks for, are read apart. `held` is
    NetworkManager's part, `wanted` the state that is asked for, where one is (see core/live/kernel_only). Raises
    NmstateError or NMError when one of them does not answer."""
    links, note = read_links(), read_note(state_dir)
    zones = None
    if firewalld.is_running():
        zones = {name: zone for name, zone in firewalld.read_zones().items() if name in links}
    return Live(
        hostname=hostname(),
        state=_show(backend, held, completed(wanted, note.state) if wanted is not None else None),
        links=links,
        profiles=held.active,
        link_files={p.name: p.read_text(encoding="utf-8", errors="replace") for p in sorted(LINK_DIR.glob(OURS))},
        zones=zones,
        applied=applied_digest(state_dir),
        hook=_hook(state_dir),
        checkpoints=tuple(manager.checkpoints()),
        nmstate=backend.version(),
        networkmanager=manager.version(),
        settings={p: text for p in (SETTINGS_FILE,) if (text := _text(Path(p))) is not None},
        owned=note.owned,
        applied_state=note.state,
        first_names=note.first_names,
        idle=held.idle,
        temporary=_temporary(held),
    )


def _temporary(held: Manager) -> tuple[str, ...]:
    """Asked where NetworkManager takes addresses from a router: elsewhere there are none of interest."""
    if not any("auto" in device.asks[1:] for device in held.devices.values()):
        return ()
    told = programs.run_json("ip", "-j", "-6", "address", "show", "temporary")
    return tuple(a["local"] for link in told for a in link.get("addr_info", []) if a.get("temporary"))


def _show(backend: Backend, held: Manager, wanted: Optional[State]) -> State:
    """nmstate's `show`, or as much of it as a plan to `wanted` looks at."""
    if wanted is not None and asks_only_the_kernel(wanted) and all_static(held.devices):
        kernel = backend.show(kernel_only=True)
        if lasting(kernel):
            return with_manager(kernel, held.devices)
    return backend.show()


def _hook(state_dir: Path) -> str | None:
    try:
        return _text(state_dir / "applied" / HOOK_FILE)
    except PermissionError:
        return UNREADABLE


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
