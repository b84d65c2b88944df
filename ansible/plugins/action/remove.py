# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Run kvmnet remove on a host; see the module of the same name for its documentation."""

from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils import decisions
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils.change import ChangeBase


class ActionModule(ChangeBase):
    """Starts the change and confirms it, unless there is nothing to do or in check mode."""

    def change(self):
        """Make the change and return what to add to the result."""
        code, out, err = self.command(self.program() + ["status", "--json"])
        if code != 0:
            return {"failed": True, "msg": (err or out).strip(), "exit": code}
        status = decisions.parse_document(out, {})
        if not self._has_work(status):
            return {"changed": False, "msg": "nothing is applied on this host"}
        if self._task.check_mode:
            return {"changed": True}
        self.make_folder()
        return self.follow(
            ["remove", "--yes", "--json"] + self.change_options(timeout=False), self.words("new_addresses")
        )

    def _has_work(self, status):
        """Whether there is something to undo, by the status of the host."""
        return bool(status.get("applied") or status.get("open"))
