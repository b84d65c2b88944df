# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Set facts about kvmnet on a host; see the module of the same name for its documentation."""

from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils import decisions
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils.change import ChangeBase


class ActionModule(ChangeBase):
    """Reads `kvmnet status` and `kvmnet --version` into facts."""

    def change(self):
        """Return the facts."""
        code, out, err = self.command(self.program() + ["status", "--json"])
        if code != 0:
            return {"failed": True, "msg": (err or out).strip(), "exit": code}
        status = decisions.parse_document(out, {})
        applied = status.get("applied") or {}
        facts = {
            "version": self.command(self.program() + ["--version"])[1].strip().rpartition(" ")[2],
            "digest": applied.get("digest", ""),
            "host": applied.get("host", ""),
            "drift": status.get("drift") or [],
            "open": status.get("open") or {},
            "last": status.get("last") or {},
        }
        return {"ansible_facts": {"kvmnet": facts}}
