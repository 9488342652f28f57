#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: control
short_description: Records what a person decides
version_added: 1.0.0
description:
  - Pauses and resumes automation, for one resource or for all.
  - Approves a plan, for resources with the policy V(manual).
  - Acknowledges or resets what automation waits for a person to look at, and pins affinity weights.
options:
  state:
    description:
      - V(approved) needs O(plan_id), and V(pinned) needs O(resource) and O(weights).
      - The others work on O(resource), or on everything without it.
    type: str
    choices: [paused, resumed, approved, acknowledged, reset, pinned]
    required: true
  resource:
    description: Name of the resource.
    type: str
  plan_id:
    description: The plan to approve.
    type: str
  weights:
    description: The weights to pin, with O(state=pinned).
    type: dict
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Stop all automation
  foreshadow.core.control:
    state: paused

- name: Let it act again
  foreshadow.core.control:
    state: resumed
"""

RETURN = r"""
---
control:
  description: What is paused, approved and pinned now.
  returned: success
  type: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change to what a person decided."""
    from foreshadow.operations.control import set_control

    return set_control(
        context,
        params["state"],
        resource=params["resource"],
        plan_id=params["plan_id"],
        weights=params["weights"],
    )


def main():
    module = new_module(
        {
            "state": {
                "type": "str",
                "required": True,
                "choices": ["paused", "resumed", "approved", "acknowledged", "reset", "pinned"],
            },
            "resource": {"type": "str"},
            "plan_id": {"type": "str"},
            "weights": {"type": "dict"},
        },
        mutually_exclusive=[("resource", "plan_id")],
        required_if=[
            ("state", "approved", ["plan_id"]),
            ("state", "pinned", ["resource", "weights"]),
        ],
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
