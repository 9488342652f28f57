# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of pools that Terraform owns."""

from __future__ import annotations

DOCUMENTATION = r"""
name: terraform_pool
short_description: Hosts from the outputs of Terraform projects
version_added: 1.0.0
author:
  - Foreshadow developers (@foreshadow)
description:
  - Reads the outputs of Terraform projects, or of saved states, and makes hosts of the group
    C(foreshadow_pool) of them, with their C(foreshadow_*) variables.
  - Each host of the output is a mapping with C(name) and C(address), and optionally C(port),
    C(zone), C(capacity), C(driver), C(labels), C(relay), C(groups) (names of inventory groups) and
    C(vars) (variables by their full names). Any other key, such as the ids of a cloud, becomes a
    variable C(foreshadow_KEY).
  - It reads with C(terraform show -json), and never changes a project or its state. Terraform must
    have been initialised where the configuration asks for it.
  - A project that has no outputs at all, as before its first apply and after its end, has no hosts.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [foreshadow.core.terraform_pool, terraform_pool]
  project_path:
    description:
      - Folders of Terraform projects. A relative one is relative to the folder of the inventory
        file.
    type: list
    elements: str
    default: []
  state_file:
    description:
      - Saved states to read besides, such as what C(terraform state pull) printed.
    type: list
    elements: str
    default: []
  workspace:
    description:
      - Workspaces in which each project is read. When not set, the one that is selected.
    type: list
    elements: str
    default: []
  output:
    description:
      - Name of the output that tells the hosts. A sensitive one is refused.
      - When empty, O(query) is applied to a mapping of all outputs that are not sensitive.
    type: str
    default: foreshadow_hosts
  query:
    description:
      - A JMESPath query that makes a list of hosts of the output.
    type: str
  terraform:
    description: The program, as a name on E(PATH) or as a path.
    type: str
    default: terraform
    env:
      - name: FORESHADOW_TERRAFORM
  timeout:
    description: Seconds that one call of Terraform may take. At the deadline it is interrupted.
    type: float
    default: 60.0
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
requirements:
  - ansible-foreshadow[terraform] (the Python package of the same version) on the controller
  - Terraform 1.11 or newer on the controller
notes:
  - The name of the file ends in C(terraform_pool.yml) or C(terraform_pool.yaml).
"""

EXAMPLES = r"""
---
# edge.terraform_pool.yml: the pool of one project, grouped by zone and by driver
plugin: foreshadow.core.terraform_pool
project_path: [../terraform/edge]
keyed_groups:
  - {key: foreshadow_zone, prefix: zone}
  - {key: foreshadow_driver, prefix: driver}

---
# Two projects in two workspaces, and big hosts in a group of their own
plugin: foreshadow.core.terraform_pool
project_path: [/srv/terraform/north, /srv/terraform/south]
workspace: [staging, production]
groups:
  big: foreshadow_capacity.cpu | default(0) >= 8

---
# A project that knows nothing of Foreshadow: the query shapes its outputs
plugin: foreshadow.core.terraform_pool
project_path: [/srv/terraform/web]
output: ''
query: 'instances.value[].{name: tags.Name, address: private_ip, zone: availability_zone}'
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/tmp/foreshadow-inventory
"""

from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

GROUP = "foreshadow_pool"


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Puts the hosts of Terraform's outputs into the inventory."""

    NAME = "foreshadow.core.terraform_pool"

    def verify_file(self, path):
        """Tell whether the name of the file is one of ours."""
        endings = ("terraform_pool.yml", "terraform_pool.yaml")
        return super().verify_file(path) and path.endswith(endings)

    def parse(self, inventory, loader, path, cache=True):
        """Read the hosts, from the cache when it has them."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        self.load_cache_plugin()
        key = self.get_cache_key(path)
        asked = self.get_option("cache")
        rows = None
        if asked and cache:
            rows = self._cache.get(key)
        if rows is None:
            rows = self._read(Path(path).absolute().parent)
            if asked:
                self._cache[key] = rows
        self._populate(rows)

    def _read(self, folder):
        """Return the hosts as plain types, as the cache keeps them."""
        try:
            from foreshadow.domain.errors import ForeshadowError
            from foreshadow.operations.pool_hosts import PoolSource, read_pool
        except ImportError:
            raise AnsibleParserError(
                f"{self.NAME}: the Python package ansible-foreshadow is missing where Ansible "
                "runs; install ansible-foreshadow[terraform] into the same environment"
            ) from None
        source = PoolSource(
            projects=[folder / Path(each).expanduser() for each in self.get_option("project_path")],
            state_files=[
                folder / Path(each).expanduser() for each in self.get_option("state_file")
            ],
            workspaces=self.get_option("workspace"),
            output=self.get_option("output"),
            query=self.get_option("query"),
            program=self.get_option("terraform"),
            seconds=self.get_option("timeout"),
        )
        try:
            hosts = read_pool(source)
        except ForeshadowError as error:
            raise AnsibleParserError(f"{self.NAME}: {error}") from None
        return [
            {"name": host.name, "groups": list(host.groups), "variables": host.inventory()}
            for host in hosts
        ]

    def _populate(self, rows):
        self.inventory.add_group(GROUP)
        strict = self.get_option("strict")
        for row in rows:
            name = self.inventory.add_host(row["name"], group=GROUP)
            for group in row["groups"]:
                self.inventory.add_host(name, group=self.inventory.add_group(group))
            for key, value in row["variables"].items():
                self.inventory.set_variable(name, key, value)
            known = self.inventory.get_host(name).get_vars()
            self._set_composite_vars(self.get_option("compose"), known, name, strict=strict)
            known = self.inventory.get_host(name).get_vars()
            self._add_host_to_composed_groups(self.get_option("groups"), known, name, strict=strict)
            keyed = self.get_option("keyed_groups")
            self._add_host_to_keyed_groups(keyed, known, name, strict=strict)
