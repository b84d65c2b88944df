"""Read the host: everything that a plan is made from, once."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from kvmnet import rescue
from kvmnet.core.guest_settings import SETTINGS_FILE
from kvmnet.core.live import UNREADABLE, Link, Live
from kvmnet.host.nm import NetworkManager
from kvmnet.host.nmstate import Backend

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
        )
        for name, link in rescue.links().items()
    }


def applied_digest(state_dir: Path) -> str | None:
    """The digest of the bundle that was applied last; None before the first."""
    try:
        data = json.loads((state_dir / "applied" / "bundle.json").read_text(encoding="utf-8"))
    except PermissionError:
        return UNREADABLE
    except (OSError, ValueError):
        return None
    return str(data.get("digest"))


def read_live(backend: Backend, manager: NetworkManager, state_dir: Path) -> Live:
    """The whole reading. Raises NmstateError or NMError when one of them does not answer."""
    links = read_links()
    zones = None
    if rescue.firewalld_runs():
        zones = {name: zone for name in links if (zone := rescue.zone_of(name))}
    return Live(
        hostname=hostname(),
        state=backend.show(),
        links=links,
        profiles=manager.active_profiles(),
        link_files={p.name: p.read_text(encoding="utf-8", errors="replace") for p in sorted(LINK_DIR.glob(OURS))},
        zones=zones,
        applied=applied_digest(state_dir),
        checkpoints=tuple(manager.checkpoints()),
        nmstate=backend.version(),
        networkmanager=manager.version(),
        settings={p: text for p in (SETTINGS_FILE,) if (text := _text(Path(p))) is not None},
    )


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
