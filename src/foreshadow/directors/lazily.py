"""What costs a request to find out, found out when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class Lazily(Mapping[str, Value]):
    """A mapping of which each value is found out when it is first looked at.

    :param names: what may be in it.
    :param find: returns the value of a name; ``None``: it is not in it.
    """

    def __init__(self, names: Collection[str], find: Callable[[str], Value | None]) -> None:
        self._names = names
        self._find = find
        self._found: dict[str, Value | None] = {}

    def _value(self, name: str) -> Value | None:
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def __getitem__(self, name: str) -> Value:
        value = self._value(name) if name in self._names else None
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if self._value(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
