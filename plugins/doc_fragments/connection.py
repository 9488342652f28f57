# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection options, documented once for every module and plugin."""

from __future__ import annotations


class ModuleDocFragment:
    """Options that say where the ledger is, and how agents know the controller."""

    DOCUMENTATION = r"""
options:
  ledger:
    description:
      - URL of the ledger, such as C(sqlite:////var/lib/foreshadow/ledger.db).
      - When not set, the environment variable E(FORESHADOW_LEDGER) is used.
    type: str
  ca:
    description:
      - Certificate of the authority that issued the certificates of agents and controllers.
      - When not set, the environment variable E(FORESHADOW_CA) is used.
    type: path
  cert:
    description:
      - Certificate of this controller.
      - When not set, the environment variable E(FORESHADOW_CERT) is used.
    type: path
  key:
    description:
      - Private key of this controller's certificate.
      - When not set, the environment variable E(FORESHADOW_KEY) is used.
    type: path
  timeout:
    description: Seconds that one call to an agent may take.
    type: float
    default: 10.0
requirements:
  - ansible-foreshadow (the Python package of the same version) where the task runs
notes:
  - Runs on the controller. It needs an interpreter that has the Python package, such as
    C(ansible_python_interpreter={{ ansible_playbook_python }}) on localhost.
"""

    PLUGINS = r"""
options:
  ledger:
    description: URL of the ledger, such as C(sqlite:////var/lib/foreshadow/ledger.db).
    type: str
    env:
      - name: FORESHADOW_LEDGER
    vars:
      - name: foreshadow_ledger
  ca:
    description: Certificate of the authority that issued the certificates of agents and
      controllers.
    type: str
    env:
      - name: FORESHADOW_CA
    vars:
      - name: foreshadow_ca
  cert:
    description: Certificate of this controller.
    type: str
    env:
      - name: FORESHADOW_CERT
    vars:
      - name: foreshadow_cert
  key:
    description: Private key of this controller's certificate.
    type: str
    env:
      - name: FORESHADOW_KEY
    vars:
      - name: foreshadow_key
  timeout:
    description: Seconds that one call to an agent may take.
    type: float
    default: 10.0
requirements:
  - ansible-foreshadow (the Python package of the same version) on the controller
"""
