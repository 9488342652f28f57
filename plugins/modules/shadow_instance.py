#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: shadow_instance
short_description: Makes instances be as asked
version_added: 1.0.0
description:
  - Creates shadows of resources on hosts, changes the mode in which they wait, or removes them.
  - The running primary of each resource named is adopted without a restart, when it is not in care
    yet.
options:
  instances:
    description:
      - The shadows, each with C(resource), C(host) and C(mode).
      - The mode V(cold) is created but not running, V(warm) is started and then frozen, V(hot) is
        running out of
        traffic. When it is not given, the mode of the resource's spec is used.
    type: list
    elements: dict
    required: true
  state:
    description: Whether the instances exist.
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
- name: Keep a warm shadow of checkout on edge-b
  foreshadow.core.shadow_instance:
    instances:
      - {resource: checkout, host: edge-b, mode: warm}
"""

RETURN = r"""
---
instances:
  description: The instances as they are now.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that makes the instances be as asked."""
    from foreshadow.operations.instances import ensure_instances

    return ensure_instances(context, params["instances"], params["state"] == "present")


def main():
    module = new_module(
        {
            "instances": {"type": "list", "elements": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
