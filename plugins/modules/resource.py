#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: resource
short_description: Registers or removes resources
version_added: 1.0.0
description:
  - Registers resources, the services that Foreshadow forecasts, shadows and moves, in the ledger.
  - Every spec is checked before the first one is written, so that a mistake in one changes nothing.
  - Where a resource's primary is, only its spec says at first; afterwards the ledger knows, and a
    changed C(primary) in the spec moves nothing.
options:
  resources:
    description:
      - The specs. With O(state=absent) only C(name) is read.
      - They are plain dictionaries, so that drivers may add keys of their own.
    type: list
    elements: dict
    required: true
  defaults:
    description: What is merged under every spec, key by key.
    type: dict
    default: {}
  state:
    description: Whether the resources are registered.
    type: str
    choices: [present, absent]
    default: present
  prune:
    description: Removes the resources that are registered but not listed. They must not have
      instances.
    type: bool
    default: false
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Register a service
  foreshadow.core.resource:
    resources:
      - name: checkout
        primary: edge-a
        service:
          command: [/opt/checkout/bin/serve, --listen, "{address}:{port}", --data, "{state}"]
          port: 8080
          health: {path: /healthz}
        directors:
          - kind: haproxy
            backend: checkout
            endpoints: [{agent: lb-1, socket: /run/haproxy/admin.sock}]
    defaults:
      policy: {mode: forecast_only}

- name: Forget it again
  foreshadow.core.resource:
    resources: [{name: checkout}]
    state: absent
"""

RETURN = r"""
---
resources:
  description: The specs as they are now registered, with their defaults filled in.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that registers or removes the resources."""
    from foreshadow.operations.registry import register_resources, remove_resources

    if params["state"] == "absent":
        return remove_resources(context, params["resources"])
    return register_resources(
        context, params["resources"], params["defaults"], prune=params["prune"]
    )


def main():
    module = new_module(
        {
            "resources": {"type": "list", "elements": "dict", "required": True},
            "defaults": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "prune": {"type": "bool", "default": False},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
