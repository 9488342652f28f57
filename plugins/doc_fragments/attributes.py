# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module promises about check mode, diff mode and idempotency."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of the modules that change something, and of those that only read."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Tells what would change without changing it.
    support: full
  diff_mode:
    description: Shows what differs, before and after; both come from the planned change.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Reads in check mode as it does otherwise.
    support: full
  diff_mode:
    description: Shows nothing, since it changes nothing.
    support: N/A
  idempotent:
    description: Changes nothing.
    support: N/A
"""
