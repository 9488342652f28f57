#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host
short_description: Registers or removes hosts
version_added: 1.0.0
description:
  - Registers hosts, the machines with an agent where instances can run, in the ledger.
  - A load balancer's host is registered with C(relay), and is never a candidate for an instance.
options:
  hosts:
    description:
      - The hosts, each with C(name), C(address), C(port), C(zone), C(capacity) (C(cpu), C(memory),
        C(rate)),
        C(driver), C(labels), C(groups) and C(relay). With O(state=absent) only C(name) is read.
    type: list
    elements: dict
    required: true
  state:
    description: Whether the hosts are registered.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Register two hosts and a load balancer
  foreshadow.core.host:
    hosts:
      - {name: edge-a, address: 192.0.2.11, zone: north, capacity: {cpu: 4, rate: 200}}
      - {name: edge-b, address: 192.0.2.12, zone: south, capacity: {cpu: 8, rate: 400}}
      - {name: lb-1, address: 192.0.2.21, relay: true}
"""

RETURN = r"""
---
hosts:
  description: The hosts as they are now registered.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that registers or removes the hosts."""
    from foreshadow.operations.registry import register_hosts, remove_hosts

    if params["state"] == "absent":
        return remove_hosts(context, params["hosts"])
    return register_hosts(context, params["hosts"])


def main():
    module = new_module(
        {
            "hosts": {"type": "list", "elements": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
