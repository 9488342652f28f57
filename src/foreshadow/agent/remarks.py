"""Remarks on what is tried again and again: each is logged once, and no failure ends the trying."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from foreshadow.domain.errors import ForeshadowError

_log = logging.getLogger(__name__)


class Remarks:
    """Says a line when it differs from the last one about the same thing."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, about: str, line: str) -> None:
        """Log a line once, until there is another one; an empty line says that all is well."""
        if line != self._said.get(about, ""):
            self._said[about] = line
            _log.warning("%s", line or f"{about}: all is well again")

    @contextmanager
    def tried(self, about: str) -> Iterator[None]:
        """Let no error out of a block that is run again later: say what went wrong instead.

        A disk that is full now may not be at the next time; a task in the background that it had
        ended would be gone until the agent is started again.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is said, and tried again
            told = isinstance(error, ForeshadowError)
            self.say(about, str(error) if told else f"{about}: {type(error).__name__}: {error}")
        else:
            self.say(about, "")
