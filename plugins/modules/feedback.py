#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: feedback
short_description: Measures finished switchovers and learns from them
version_added: 1.0.0
description:
  - Compares, for each finished switchover whose window has passed, what was observed with what was
    predicted.
  - Moves the affinity weights of the resource a little towards what would have predicted better.
  - A second run finds nothing due.
options:
  resources:
    description: Names of the resources. When not set, all that are due.
    type: list
    elements: str
  window:
    description: How much metric time after a switchover is looked at, such as C(30m).
    type: str
    default: 30m
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Learn from what happened
  foreshadow.core.feedback:
    window: 1h
"""

RETURN = r"""
---
outcomes:
  description: What was observed and predicted for each switchover that was due.
  returned: success
  type: list
  elements: dict
weights:
  description: The weights C(before) and C(after), by resource.
  returned: success
  type: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that measuring and learning would make."""
    from foreshadow.operations.observe import observe

    return observe(context, params["resources"], params["window"])


def main():
    module = new_module(
        {
            "resources": {"type": "list", "elements": "str"},
            "window": {"type": "str", "default": "30m"},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
