# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forecast lookup: one decision for each resource."""

from __future__ import annotations

DOCUMENTATION = r"""
name: forecast
short_description: Decides whether resources should be moved, and says why
version_added: 1.0.0
author:
  - Foreshadow developers (@foreshadow)
description:
  - Forecasts the metrics of resources and gives one decision for each.
  - All terms are forecast together, which costs far less than one lookup for each.
  - Outside check mode the decision is recorded in the ledger, once for each resource and tick.
options:
  _terms:
    description: Names of resources. Without terms all resources are meant; an empty list gives an
      empty list.
    type: list
    elements: str
  verdicts:
    description: Gives only decisions with one of these verdicts.
    type: list
    elements: str
    choices: [stay, switch, blocked]
  horizon:
    description: How far to look ahead, such as C(30m), instead of each resource's own horizon.
    type: str
  triggers:
    description: Triggers that are merged over those of each resource.
    type: dict
  model:
    description: The model that forecasts. C(fleet) (the default) forecasts all resources together.
      C(prophet) fits Prophet to one metric after the other, to explain or to audit a decision.
    type: str
  at:
    description: The metric time to decide at, such as C(2026-11-24T08:00:00Z), instead of now.
    type: str
extends_documentation_fragment:
  - foreshadow.core.connection.plugins
notes:
  - A variable that holds a lookup runs it at every reference. Use M(ansible.builtin.set_fact) to
    run it once.
  - Use C(query), since C(lookup) unwraps a single
    decision.
seealso:
  - module: foreshadow.core.switchover
"""

EXAMPLES = r"""
---
- name: Decide about all resources, once
  ansible.builtin.set_fact:
    decisions: "{{ query('foreshadow.core.forecast') }}"

- name: Say why
  ansible.builtin.debug:
    msg: "{{ item.resource }} - {{ item.verdict }} - {{ item.reasons | first }}"
  loop: "{{ decisions }}"

- name: Act on those that should move
  foreshadow.core.switchover:
    resource: "{{ item.resource }}"
    decision_id: "{{ item.id }}"
  loop: "{{ decisions | selectattr('verdict', 'eq', 'switch') }}"
"""

RETURN = r"""
_raw:
  description:
    - One decision for each resource, with C(id), C(resource), C(at), C(verdict), C(trigger),
      C(probability), C(reasons),
      C(blocked_by), C(breach_at), C(lead_seconds), C(signals), C(destination), C(gate) (of
      the metric that speaks first), C(gates) (of each metric) and C(model).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.foreshadow.core.plugins.module_utils.adapter import (
    CONNECTION_OPTIONS,
    IMPORT_ERROR,
    opened,
)

OPTIONS = ("verdicts", "horizon", "triggers", "model", "at")


class LookupModule(LookupBase):
    """Runs the evaluation for all terms in one call."""

    def run(self, terms, variables=None, **kwargs):
        if IMPORT_ERROR is not None:
            raise AnsibleLookupError(
                "foreshadow.core.forecast: the Python package ansible-foreshadow is missing where "
                "ansible-playbook runs; install it into the same environment"
            )
        from foreshadow.domain.errors import ForeshadowError
        from foreshadow.operations.evaluate import evaluate

        self.set_options(var_options=variables, direct=kwargs)
        resources = _names(terms)
        if resources == []:
            return []
        # What comes from a variable arrives as it was written there, templates and all.
        options = {
            name: self._templar.template(self.get_option(name))
            for name in (*CONNECTION_OPTIONS, *OPTIONS)
        }
        verdicts = options.pop("verdicts")
        asked = {name: options[name] for name in ("horizon", "triggers", "model", "at")}
        record = not (variables or {}).get("ansible_check_mode", False)
        try:
            with opened(options) as context:
                decisions = evaluate(context, resources, record=record, **asked)
        except ForeshadowError as error:
            raise AnsibleLookupError(f"foreshadow.core.forecast: {error}") from error
        plain = [decision.plain() for decision in decisions]
        return [row for row in plain if not verdicts or row["verdict"] in verdicts]


def _names(terms):
    """Return the resources asked for, or None for all; C(query(x, [])) arrives as C([[]])."""
    if not terms:
        return None
    names = []
    for term in terms:
        names.extend(term if isinstance(term, list) else [term])
    return [str(name) for name in names]
