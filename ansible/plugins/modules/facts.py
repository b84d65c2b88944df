#!/usr/bin/python
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Documentation of the action facts."""

DOCUMENTATION = r"""
---
module: facts
short_description: Set facts about what kvmnet has applied on a host
version_added: "0.1.0"
description:
  - Sets the fact C(kvmnet) with the keys version, digest, host, drift, open and last.
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
- name: Set the facts
  kvmnet.kvmnet.facts:
  become: true
"""

RETURN = r"""
ansible_facts:
  description: The fact C(kvmnet).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Fail: the action plugin of the same name does the work on the control node."""
    module = AnsibleModule(
        argument_spec={
            "program": dict(type="str", default="kvmnet"),
        }
    )
    module.fail_json(msg="this module runs as an action plugin; call it as kvmnet.kvmnet.facts")


if __name__ == "__main__":
    main()
