# Copyright: (c) 2026, Foreshadow developers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a module of this collection where its task is: in the worker of ansible-playbook.

A module that runs beside its controller needs no archive, no shell and no Python of its own, which
together take longer than most modules. The module itself does not know the difference: it gets
a C(TaskModule) in place of an C(AnsibleModule).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action.normal import ActionModule as Elsewhere

PACKAGE = "ansible_collections.foreshadow.core.plugins"
TO_MODULE = get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)
FROM_MODULE = get_module_encoder("legacy", Direction.MODULE_TO_CONTROLLER)


class Ended(SystemExit):
    """The module has told its result, and would end its process now."""

    def __init__(self, result):
        super().__init__(0)
        self.result = result


class TaskModule:
    """What the modules of this collection use of an C(AnsibleModule), for a task at hand.

    :ivar params: the checked arguments, as plain values.
    """

    def __init__(self, task, argument_spec, supports_check_mode, **rules):
        # Through JSON, as to a process: a module gets plain values, and no tags of the controller.
        given = json.loads(json.dumps(dict(task.args), cls=TO_MODULE))
        checked = ArgumentSpecValidator(argument_spec, **rules).validate(given)
        self.params = checked.validated_parameters
        self.check_mode = task.check_mode and supports_check_mode
        self._hidden = hidden_values(argument_spec, {**given, **self.params})
        if checked.errors.errors:
            unknown = isinstance(checked.errors[0], UnsupportedError)
            about = f"Unsupported parameters for ({task.action}) module: " if unknown else ""
            self.fail_json(msg=f"{about}{checked.errors.msg}")

    def exit_json(self, **result):
        """End the task."""
        told = {**result, "invocation": {"module_args": self.params}}
        told = remove_values(told, self._hidden)
        raise Ended(json.loads(json.dumps(told, cls=FROM_MODULE)))

    def fail_json(self, msg, **result):
        """End the task as failed; what looks like a secret is kept out, as nobody asked for it."""
        self._hidden |= adapter().secrets_in(self.params)
        self.exit_json(**result, failed=True, msg=msg)


class InProcess(Elsewhere):
    """Runs its module here when its task is for this very machine and Python, else as ever.

    :cvar MODULE: the module's name in the collection.
    """

    MODULE = ""

    def run(self, tmp=None, task_vars=None):
        """Return what the module gives."""
        with unswept():
            here = self._is_here(task_vars or {})
            module = importlib.import_module(f"{PACKAGE}.modules.{self.MODULE}") if here else None
        if module is None:
            return super().run(tmp, task_vars)
        before = adapter().MODULE_CLASS.set(functools.partial(TaskModule, self._task))
        try:
            module.main()
        except Ended as ended:
            return ended.result
        finally:
            adapter().MODULE_CLASS.reset(before)
        raise RuntimeError(f"the module {self.MODULE} ended without a result")

    def _is_here(self, task_vars):
        """Return whether a process of its own would find everything as it is here."""
        task = self._task
        if self._connection.transport != "local" or self._connection.become is not None:
            return False
        # A time limit ends a task between two instructions: a process of its own goes on.
        if task.async_val or task.timeout or any(task.environment or ()):
            return False
        if task.delegate_to:
            task_vars = task_vars["ansible_delegated_vars"][task.delegate_to]
        python = self._templar.template(task_vars.get("ansible_python_interpreter"))
        return python == sys.executable and is_clean(os.getpid()) and is_installed()


@functools.cache
def is_clean(_pid):
    """Return whether this worker has inherited no gRPC, which does not survive a fork.

    Its controller has one when a variable of the play held a lookup of this collection.
    """
    return "grpc" not in sys.modules


@contextlib.contextmanager
def unswept():
    """Load code without sweeps for garbage over all that is there: none of it is ever freed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def is_installed():
    """Return whether the package is here; where it is not, the module says so best itself."""
    return not adapter().IMPORT_ERROR


def adapter():
    """Return the adapter. It loads the package, so it is for workers alone to import."""
    return importlib.import_module(f"{PACKAGE}.module_utils.adapter")


def hidden_values(argument_spec, params):
    """Return the values of the options that are never logged."""
    names = (name for name, option in argument_spec.items() if option.get("no_log"))
    return {params[name] for name in names if params.get(name)}
