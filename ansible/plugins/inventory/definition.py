# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""An inventory of the hosts of a kvmnet definition."""

DOCUMENTATION = r"""
---
name: definition
short_description: The hosts of a kvmnet definition
version_added: "0.1.0"
author:
  - The kvmnet developers (@kvmnet)
description:
  - Reads the hosts and groups of a definition by running C(kvmnet export ansible-inventory) on the control node.
  - Hosts get the variables kvmnet_cluster, kvmnet_bundle, kvmnet_digest and kvmnet_addresses.
options:
  plugin:
    description: The name of this plugin, C(kvmnet.kvmnet.definition).
    required: true
    choices: [kvmnet.kvmnet.definition]
  definition:
    description: The definition, a file or a folder. A relative path begins at the folder of the inventory file.
    type: str
    default: cluster.yaml
  kvmnet:
    description: The program kvmnet.
    type: str
    default: kvmnet
  connect_by:
    description:
      - With C(address), hosts are reached at the management address of the definition; with C(name), by their names.
    type: str
    default: name
    choices: [name, address]
"""

EXAMPLES = r"""
# hosts.kvmnet.yml
plugin: kvmnet.kvmnet.definition
definition: cluster.yaml
connect_by: address
"""

import os
import shutil
import subprocess
import tempfile

from ansible.errors import AnsibleParserError

from ansible.plugins.inventory import BaseInventoryPlugin


class InventoryModule(BaseInventoryPlugin):
    """Reads a definition through kvmnet."""

    NAME = "kvmnet.kvmnet.definition"

    def verify_file(self, path):
        """Whether a file may be a configuration of this plugin, by its name."""
        is_named = path.endswith(("kvmnet.yml", "kvmnet.yaml"))
        return super().verify_file(path) and is_named

    def parse(self, inventory, loader, path, cache=True):
        """Add the hosts and groups of the definition to the inventory."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        definition = os.path.join(os.path.dirname(os.path.abspath(path)), self.get_option("definition"))
        exported = self._export(definition)
        for name, variables in exported["all"].get("hosts", {}).items():
            self.inventory.add_host(name)
            for key, value in (variables or {}).items():
                if key != "ansible_host" or self.get_option("connect_by") == "address":
                    self.inventory.set_variable(name, key, value)
        for name, group in exported["all"].get("children", {}).items():
            self._add_group(name, group or {}, "all")

    def _add_group(self, name, group, parent):
        added = self.inventory.add_group(name)
        if parent != "all":
            self.inventory.add_child(parent, added)
        for host in group.get("hosts") or {}:
            self.inventory.add_child(added, host)
        for child, content in (group.get("children") or {}).items():
            self._add_group(child, content or {}, added)

    def _export(self, definition):
        folder = tempfile.mkdtemp(prefix="kvmnet-")
        command = [self.get_option("kvmnet"), "export", "ansible-inventory", definition, "-o", folder]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            if done.returncode != 0:
                raise AnsibleParserError("%s: %s" % (definition, done.stderr.decode(errors="replace")))
            return self.loader.load_from_file(os.path.join(folder, "inventory.yml"))
        except OSError as error:
            raise AnsibleParserError("kvmnet does not run on the control node: %s" % error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
