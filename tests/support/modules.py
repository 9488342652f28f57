"""Running the collection's modules as Ansible runs them, without starting a playbook for each."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.testing import patch_module_args

# make builds this folder; it is the name under which Ansible knows the plugins.
COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"


def collection(name: str) -> Any:
    """Import a part of the collection, such as ``modules.resource``."""
    if str(COLLECTIONS) not in sys.path:
        sys.path.append(str(COLLECTIONS))
    return importlib.import_module(f"ansible_collections.foreshadow.core.plugins.{name}")


class Modules:
    """Runs modules with the same connection options.

    :ivar witness: what check mode must leave as it is, told by something else than the modules.
    """

    def __init__(self, **connection: str) -> None:
        self._connection = connection
        self.witness: Callable[[], object] = lambda: None

    def run(self, name: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run one module, with the diff asked for; return what it gives, failed or not."""
        main = collection(f"modules.{name}").main
        arguments = {
            **self._connection,
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": tempfile.gettempdir(),
        }
        before = self.witness() if check else None
        out = io.StringIO()
        ended = contextlib.suppress(SystemExit)
        with patch_module_args(arguments), contextlib.redirect_stdout(out), ended:
            main()
        result: dict[str, Any] = json.loads(out.getvalue())
        assert not check or self.witness() == before, f"{name} has changed something in check mode"
        return result

    def ok(self, name: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run one module that must not fail."""
        result = self.run(name, check=check, **options)
        assert not result.get("failed"), result["msg"]
        return result

    def thrice(self, name: str, **options: Any) -> dict[str, Any]:
        """Run a module in check mode, for real and again; return what the real run gave.

        Check mode must tell the change and make none; the second real run must find nothing to do.
        """
        told = self.ok(name, check=True, **options)
        assert told["changed"], "check mode tells no change"
        assert told["diff"]["before"] != told["diff"]["after"]
        told_again = self.ok(name, check=True, **options)
        assert told_again["changed"], "check mode has changed something"
        done = self.ok(name, **options)
        assert done["changed"]
        assert done["diff"] == told_again["diff"], "check mode told another change"
        again = self.ok(name, **options)
        assert not again["changed"], again["diff"]
        return done
