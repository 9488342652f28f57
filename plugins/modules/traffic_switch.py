#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: traffic_switch
short_description: Points the directors of a resource at hosts by weight
version_added: 1.0.0
description:
  - Sends the traffic of a resource to its instances by percentages, on every director of the
    resource.
  - It moves traffic only. To move a resource, use M(foreshadow.core.switchover), which also syncs,
    activates,
    drains and verifies. Refused while a switchover of the resource is under way.
options:
  resource:
    description: Name of the resource.
    type: str
    required: true
  weights:
    description: Percentages by host. They sum to 100.
    type: dict
    required: true
  wait:
    description: Seconds to wait until every director shows the weights.
    type: float
    default: 10.0
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Send a tenth of the traffic of checkout to edge-b
  foreshadow.core.traffic_switch:
    resource: checkout
    weights: {edge-a: 90, edge-b: 10}
"""

RETURN = r"""
---
before:
  description: Percentages by host that each server of the directors had.
  returned: success
  type: dict
after:
  description: Percentages by host that each server of the directors has.
  returned: success
  type: dict
converged:
  description: Whether every server of the directors shows the weights.
  returned: success
  type: bool
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that points the directors."""
    from foreshadow.operations.traffic import point_traffic

    return point_traffic(context, params["resource"], params["weights"], params["wait"])


def main():
    module = new_module(
        {
            "resource": {"type": "str", "required": True},
            "weights": {"type": "dict", "required": True},
            "wait": {"type": "float", "default": 10.0},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
