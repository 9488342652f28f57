#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ledger_info
short_description: Reads the ledger
version_added: 1.0.0
description:
  - Gives what the ledger knows of resources, hosts, instances, decisions, switchovers and outcomes,
    and what persons have paused, approved and pinned.
options:
  subset:
    description: What to read. When not set, everything.
    type: list
    elements: str
    choices: [resources, hosts, instances, decisions, switchovers, outcomes, control]
  resource:
    description: Only what belongs to this resource.
    type: str
  since:
    description: Leaves out what is older than this time, such as C(2026-11-24T08:00:00Z).
    type: str
  limit:
    description: How many decisions, switchovers and outcomes to give at most, newest first.
    type: int
    default: 100
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes.info
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: What was decided about checkout?
  foreshadow.core.ledger_info:
    subset: [decisions]
    resource: checkout
    limit: 5

- name: Is anything paused?
  foreshadow.core.ledger_info:
    subset: [control]
"""

RETURN = r"""
---
resources:
  description: The registered specs, each with C(current_primary), the host that its primary is on
    now; C(primary) is where it was at first.
  returned: when asked for
  type: list
  elements: dict
hosts:
  description: The registered hosts.
  returned: when asked for
  type: list
  elements: dict
instances:
  description: The instances with their role, mode, state and version.
  returned: when asked for
  type: list
  elements: dict
decisions:
  description: Changes of verdict, newest first.
  returned: when asked for
  type: list
  elements: dict
switchovers:
  description: Switchovers with their journal, newest first, as M(foreshadow.core.switchover) gives
    them.
  returned: when asked for
  type: list
  elements: dict
outcomes:
  description: What was observed after switchovers, newest first.
  returned: when asked for
  type: list
  elements: dict
control:
  description: What is paused, approved, acknowledged and pinned, as M(foreshadow.core.control)
    gives it.
  returned: when asked for
  type: dict
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_query


def query(context, params):
    """Return what the ledger knows."""
    from foreshadow.operations.read import read_ledger

    return read_ledger(
        context, params["subset"], params["resource"], params["since"], params["limit"]
    )


def main():
    module = new_module(
        {
            "subset": {
                "type": "list",
                "elements": "str",
                "choices": [
                    "resources",
                    "hosts",
                    "instances",
                    "decisions",
                    "switchovers",
                    "outcomes",
                    "control",
                ],
            },
            "resource": {"type": "str"},
            "since": {"type": "str"},
            "limit": {"type": "int", "default": 100},
        }
    )
    run_query(module, query)


if __name__ == "__main__":
    main()
