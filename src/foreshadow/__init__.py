# Copyright: Foreshadow developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreshadow moves a service to a pre-warmed shadow before it degrades."""
