#!/usr/bin/python
# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: report
short_description: Writes the report
version_added: 1.0.0
description:
  - Writes one self-contained HTML page about resources, decisions and switchovers from the ledger.
  - A page that differs only in its time stamp is not written again.
options:
  dest:
    description: The file to write. Its folder must exist.
    type: path
    required: true
  resources:
    description: Names of the resources. When not set, all.
    type: list
    elements: str
  clients:
    description:
      - A JSON file of what clients saw, as a load generator wrote it down. Its form is described in
        C(foreshadow.report.clients).
    type: path
  since:
    description: Leaves out what is older than this time, such as C(2026-11-24T08:00:00Z).
    type: str
extends_documentation_fragment:
  - foreshadow.core.connection
  - foreshadow.core.attributes
author:
  - Foreshadow developers (@foreshadow)
"""

EXAMPLES = r"""
---
- name: Write the report
  foreshadow.core.report:
    dest: /var/www/html/foreshadow.html
"""

RETURN = r"""
---
report_file:
  description: The file that was written.
  returned: success
  type: str
"""

from ansible_collections.foreshadow.core.plugins.module_utils.adapter import new_module, run_change


def plan(context, params):
    """Return the change that writes the page."""
    from foreshadow.operations.render import render_report

    return render_report(
        context, params["dest"], params["resources"], params["since"], params["clients"]
    )


def main():
    module = new_module(
        {
            "dest": {"type": "path", "required": True},
            "resources": {"type": "list", "elements": "str"},
            "since": {"type": "str"},
            "clients": {"type": "path"},
        }
    )
    run_change(module, plan)


if __name__ == "__main__":
    main()
