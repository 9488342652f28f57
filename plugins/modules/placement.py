#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: placement
short_description: Ranks hosts by affinity, and says why
version_added: 1.0.0
description:
  - Ranks the hosts of each resource by affinity, C(w1 * load_similarity + w2 * network_proximity +
    w3 * availability),
    and assigns shadows over the whole fleet so that capacity is not promised twice.
  - A host that cannot carry a resource stays in the ranking with the rule that rejects it.
options:
  resources:
    description: Names of the resources. When not set, all are ranked.
    type: list
    elements: str
  weights:
    description:
      - Weights of C(load_similarity), C(network_proximity) and C(availability) for this call.
      - When not set, the pinned weights are used, then the learned ones, then those of the spec.
    type: dict
  top:
    description: How many hosts to return for each resource. When not set, all are returned.
    type: int
  record:
    description: Keeps the assignment in the ledger.
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
- name: Where would checkout go?
  foreshadow.core.placement:
    resources: [checkout]
    top: 3

- name: Ask again for the case that only distance counted
  foreshadow.core.placement:
    weights: {load_similarity: 0, network_proximity: 1, availability: 0}
"""

RETURN = r"""
---
rankings:
  description: For each resource its hosts, best first, as C(host), C(score), C(terms) and
    C(rejected).
  returned: success
  type: dict
assignment:
  description: For each resource the hosts that should hold its shadows.
  returned: success
  type: dict
weights:
  description: For each resource the weights that were used.
  returned: success
  type: dict
notes:
  description: What should be known about the figures, such as hosts that could not be measured.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that records the assignment; its preview carries the rankings."""
    from foreshadow.operations.place import place

    return place(context, params["resources"], params["weights"], params["top"], params["record"])


def main():
    module = new_module(
        {
            "resources": {"type": "list", "elements": "str"},
            "weights": {"type": "dict"},
            "top": {"type": "int"},
            "record": {"type": "bool", "default": False},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
