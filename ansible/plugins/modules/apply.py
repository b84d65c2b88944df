#!/usr/bin/python
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Documentation of the action apply."""

DOCUMENTATION = r"""
---
module: apply
short_description: Make the network of a KVM host match the definition
version_added: "0.1.0"
description:
  - Renders the definition on the control node, copies the bundle of the host and applies it there as one transaction.
  - The change is confirmed over a connection that is opened after it, even if Ansible shares connections (ControlPersist). A change that is not confirmed in time is rolled back.
  - If the address of the host changes, the new address is used. The host key must stay the same.
  - A host that matches already is not changed.
author:
  - The kvmnet developers (@kvmnet)
options:
  definition:
    description:
      - The definition on the control node, a file or a folder. Default is C(cluster.yaml) or C(cluster.d) in the current folder.
    type: path
  bundle:
    description:
      - The folder of the host that C(kvmnet render -o) wrote on the control node, instead of I(definition). Rendering once for all hosts is faster.
    type: path
  host:
    description:
      - Name of the host in the definition. Default is the name in the inventory.
    type: str
  kvmnet:
    description:
      - The program kvmnet on the control node, which renders I(definition).
    type: str
    default: kvmnet
  adopt:
    description:
      - Permit kvmnet to take over existing bridges, bonds and VLANs of the definition.
    type: bool
    default: false
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
      - Further addresses to try after the change, in addition to those that the inventory plugin gives the host.
    type: list
    elements: str
  program:
    description:
      - The program kvmnet on the host.
    type: str
    default: kvmnet
  folder:
    description:
      - Folder of the host for the bundle during the change. Only root may be able to write there.
    type: path
    default: /run
attributes:
  check_mode:
    description: In check mode, nothing is changed.
    support: full
  diff_mode:
    description: The changes of the plan are shown.
    support: full
notes:
  - If the connection is lost for good, the task fails, and the host is not unreachable, so that a rollout stops.
  - kvmnet must be installed on the host. The user must be root, or use I(become) with a method that needs no terminal.
"""

EXAMPLES = r"""
- name: Make the host match the definition
  kvmnet.kvmnet.apply:
    definition: cluster.yaml
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
changes:
  description: What the plan changes.
  returned: when the plan was made
  type: list
  elements: dict
digest:
  description: The digest of the bundle.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Fail: the action plugin of the same name does the work on the control node."""
    module = AnsibleModule(
        argument_spec={
            "definition": dict(type="path"),
            "bundle": dict(type="path"),
            "host": dict(type="str"),
            "kvmnet": dict(type="str", default="kvmnet"),
            "adopt": dict(type="bool", default=False),
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
    module.fail_json(msg="this module runs as an action plugin; call it as kvmnet.kvmnet.apply")


if __name__ == "__main__":
    main()
