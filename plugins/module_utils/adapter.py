# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way from Ansible to a use case, for modules and for plugins alike."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from contextvars import ContextVar

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib
from ansible.module_utils.common.parameters import remove_values

IMPORT_ERROR: str | None = None
try:
    from foreshadow.domain.errors import ForeshadowError
    from foreshadow.domain.secrets import secret_values
    from foreshadow.operations.context import Connection, open_context
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

MODULE_CLASS: ContextVar[Callable[..., AnsibleModule]] = ContextVar("MODULE_CLASS")
"""What a module is made of where it is no process of its own; see C(plugin_utils/in_process.py)."""

CONNECTION_OPTIONS = ("ledger", "ca", "cert", "key", "timeout")


def connection_spec():
    """Return the argument spec of the connection options."""
    return {
        "ledger": {
            "type": "str",
            "no_log": True,
            "fallback": (env_fallback, ["FORESHADOW_LEDGER"]),
        },
        "ca": {"type": "path", "fallback": (env_fallback, ["FORESHADOW_CA"])},
        "cert": {"type": "path", "fallback": (env_fallback, ["FORESHADOW_CERT"])},
        "key": {"type": "path", "no_log": False, "fallback": (env_fallback, ["FORESHADOW_KEY"])},
        "timeout": {"type": "float", "default": 10.0},
    }


@contextlib.contextmanager
def opened(options):
    """Open what a use case needs from the connection options; yields the context."""
    connection = Connection(**{name: options[name] for name in CONNECTION_OPTIONS})
    with open_context(connection) as context:
        yield context


def failure(error):
    """Return the structured part of what a failed task gives."""
    return {
        "code": error.code,
        "where": error.where,
        "problem": error.problem,
        "remedy": error.remedy,
    }


class DiscreetModule(AnsibleModule):
    """A module that keeps what looks like a secret out of the system's log and of a failed result.

    Such a value is refused, as the ledger keeps none; but Ansible would have told it by then, as
    one of the arguments that the module was called with.
    """

    def log(self, msg, log_args=None):
        """Write to the system's log."""
        hidden = self.secrets()
        super().log(remove_values(msg, hidden), remove_values(log_args, hidden))

    def fail_json(self, msg, **result):
        """End the task as failed."""
        self.no_log_values.update(self.secrets())
        super().fail_json(msg, **result)

    def secrets(self):
        """Return the values of arguments that look like secrets."""
        return secrets_in(self.params)


def secrets_in(params):
    """Return the values of arguments that look like secrets."""
    return set() if IMPORT_ERROR is not None else secret_values(params)


def new_module(argument_spec, **rules):
    """Return a module with the connection options, or fail when the package is missing."""
    made_of = MODULE_CLASS.get(DiscreetModule)
    module = made_of(
        argument_spec={**connection_spec(), **argument_spec}, supports_check_mode=True, **rules
    )
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("ansible-foreshadow"), exception=IMPORT_ERROR)
    return module


def run_change(module, plan, judge=None):
    """Plan a change; apply it unless in check mode; exit with what it gives.

    :param plan: called with the context and the parameters; returns the planned change.
    :param judge: called with the result; returns what it means for the task, such as C(failed).
    """
    try:
        with opened(module.params) as context:
            change = plan(context, module.params)
            result = dict(change.preview if module.check_mode else change.apply())
    except ForeshadowError as error:
        module.fail_json(msg=str(error), failure=failure(error), **error.details())
    result.update(changed=change.changed, diff=dict(change.diff))
    result.update(judge(result) if judge else {})
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def run_query(module, query):
    """Run a use case that only reads, and exit with what it gives."""
    try:
        with opened(module.params) as context:
            result = query(context, module.params)
    except ForeshadowError as error:
        module.fail_json(msg=str(error), failure=failure(error))
    module.exit_json(changed=False, **result)
