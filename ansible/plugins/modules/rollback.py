#!/usr/bin/python
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Documentation of the action rollback."""

DOCUMENTATION = r"""
---
module: rollback
short_description: Go back to what was applied before the last change
version_added: "0.1.0"
description:
  - Rolls back the open transaction. If none is open, a new transaction applies what was applied before the last change that was kept.
  - Every run goes one change back, so this is not idempotent.
author:
  - The kvmnet developers (@kvmnet)
options:
  timeout:
    description:
      - Timeout of NetworkManager's checkpoint, in seconds.
    type: int
  confirm_within:
    description:
      - Seconds to wait for the confirmation over a new connection. By default, kvmnet decides whether one is needed.
    type: int
  no_confirm:
    description:
      - Do not wait for a confirmation.
    type: bool
    default: false
  allow:
    description:
      - Codes of refusals to override.
    type: list
    elements: str
  allow_guest_loss:
    description:
      - Running guests that the change may disconnect permanently.
    type: list
    elements: str
  new_addresses:
    description:
      - Further addresses to try after the change.
    type: list
    elements: str
  program:
    description:
      - The program kvmnet on the host.
    type: str
    default: kvmnet
  folder:
    description:
      - Folder of the host for the files of the change. Only root may be able to write there.
    type: path
    default: /run
attributes:
  check_mode:
    description: In check mode, nothing is changed.
    support: full
  diff_mode:
    description: Is not shown.
    support: none
notes:
  - If the connection is lost for good, the task fails, and the host is not unreachable, so that a rollout stops.
  - kvmnet must be installed on the host. The user must be root, or use I(become) with a method that needs no terminal.
"""

EXAMPLES = r"""
- name: Go back to what was applied before
  kvmnet.kvmnet.rollback:
  become: true
"""

RETURN = r"""
transaction:
  description: The ID of the transaction on the host.
  returned: when a change was begun
  type: str
exit:
  description: kvmnet's exit code. 3 means rolled back and verified, 4 rollback not verified or end unknown, 5 refused.
  returned: when a change was begun or failed
  type: int
address:
  description: The address at which the host answered after the change, if not the one of the inventory.
  returned: when a change was begun
  type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Fail: the action plugin of the same name does the work on the control node."""
    module = AnsibleModule(
        argument_spec={
            "timeout": dict(type="int"),
            "confirm_within": dict(type="int"),
            "no_confirm": dict(type="bool", default=False),
            "allow": dict(type="list", elements="str"),
            "allow_guest_loss": dict(type="list", elements="str"),
            "new_addresses": dict(type="list", elements="str"),
            "program": dict(type="str", default="kvmnet"),
            "folder": dict(type="path", default="/run"),
        }
    )
    module.fail_json(msg="this module runs as an action plugin; call it as kvmnet.kvmnet.rollback")


if __name__ == "__main__":
    main()
