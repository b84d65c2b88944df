#!/usr/bin/python
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Documentation of the action status."""

DOCUMENTATION = r"""
---
module: status
short_description: Read the open transaction, or the drift of a host
version_added: "0.1.0"
description:
  - Reads C(kvmnet status). If the host cannot be reached, the task does not fail: I(reachable) is false.
author:
  - The kvmnet developers (@kvmnet)
options:
  program:
    description:
      - The program kvmnet on the host.
    type: str
    default: kvmnet
attributes:
  check_mode:
    description: In check mode, nothing is changed.
    support: full
  diff_mode:
    description: Is not shown.
    support: none
notes:
  - This action changes nothing.
"""

EXAMPLES = r"""
- name: Read the status
  kvmnet.kvmnet.status:
  register: kvmnet_status
  become: true
"""

RETURN = r"""
reachable:
  description: Whether the host could be reached.
  returned: always
  type: bool
status:
  description: The output of C(kvmnet status --json); empty if it failed.
  returned: always
  type: dict
error:
  description: Why there is no status.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Fail: the action plugin of the same name does the work on the control node."""
    module = AnsibleModule(
        argument_spec={
            "program": dict(type="str", default="kvmnet"),
        }
    )
    module.fail_json(msg="this module runs as an action plugin; call it as kvmnet.kvmnet.status")


if __name__ == "__main__":
    main()
