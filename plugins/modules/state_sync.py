#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: state_sync
short_description: Brings the state of shadows up to date, now or in the background
version_added: 1.0.0
description:
  - Sends what changed in the state of a resource from its primary to its shadows.
  - V(once) makes one round now. V(scheduled) lets the agent of the primary make rounds on the
    interval of the
    resource's spec, and V(stopped) ends that.
  - A round that moved only the workload profile is not a change.
options:
  resource:
    description: Name of the resource.
    type: str
    required: true
  hosts:
    description: Hosts of the shadows. When not set, all shadows of the resource are meant.
    type: list
    elements: str
  state:
    description: What to do.
    type: str
    choices: [once, scheduled, stopped]
    default: once
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Bring all shadows of checkout up to date now
  foreshadow.core.state_sync:
    resource: checkout

- name: And keep them so
  foreshadow.core.state_sync:
    resource: checkout
    state: scheduled
"""

RETURN = r"""
---
bytes_sent:
  description: Bytes of content that this round sent to all shadows together.
  returned: success
  type: int
files_changed:
  description: How many paths differed.
  returned: success
  type: int
version:
  description: The version that the shadows now hold.
  returned: success
  type: int
staleness_seconds:
  description: Age of the state of the shadow that is furthest behind; null before the first round.
  returned: success
  type: float
notes:
  description: What was left out of the state, and why, such as files that look like secrets.
  returned: success
  type: list
  elements: str
results:
  description: The same figures for each host.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that a sync round, or its schedule, would make."""
    from foreshadow.operations.synchronise import sync_state

    return sync_state(context, params["resource"], params["hosts"], params["state"])


def main():
    module = new_module(
        {
            "resource": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str"},
            "state": {
                "type": "str",
                "choices": ["once", "scheduled", "stopped"],
                "default": "once",
            },
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
