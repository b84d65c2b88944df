# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Read the status of a host; see the module of the same name for its documentation."""

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils import decisions
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils.change import ChangeBase, LostConnection


class ActionModule(ChangeBase):
    """Reads `kvmnet status`. A host that cannot be reached is a result too, so that the view of the fleet has it."""

    def change(self):
        """Return the status."""
        try:
            code, out, err = self.command(self.program() + ["status", "--json"])
        except (LostConnection, AnsibleConnectionFailure) as error:
            return {"reachable": False, "status": {}, "error": str(error)}
        status = decisions.parse_document(out, {})
        if code != 0 or not status:
            return {"reachable": True, "status": {}, "error": (err or out).strip()}
        return {"reachable": True, "status": status, "error": ""}
