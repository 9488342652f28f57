"""The errors of Foreshadow: one tree, and each branch says who has to act.

Every error is one line for a person: *where* it happened, *what* is wrong and the *way out*.
``code`` is stable and machine-readable; it crosses the wire and is what modules return as
``failure.code``.
"""

from __future__ import annotations

from typing import ClassVar


class ForeshadowError(Exception):
    """The root of all errors that are told to a person.

    :param problem: what is wrong, in one clause without a final full stop.
    :param where: the thing it is about (``resource checkout``, ``host edge-b``, a spec path).
    :param remedy: the way out, in one clause.
    """

    code: ClassVar[str] = "error"

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.problem}" if self.where else self.problem
        if self.remedy:
            line = f"{line}; {self.remedy}"
        return " ".join(line.split())

    def details(self) -> dict[str, object]:
        """Return what a failed task gives beside the error, as JSON types."""
        return {}

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.problem, self.where, self.remedy))


def _rebuild(kind: type[ForeshadowError], problem: str, where: str, remedy: str) -> ForeshadowError:
    return kind(problem, where=where, remedy=remedy)


class SpecError(ForeshadowError):
    """What a person wrote is wrong: nothing was done, the spec has to change."""

    code = "spec"


class UnknownNameError(SpecError):
    """A resource, host, plan or switchover is named that the ledger does not know."""

    code = "unknown_name"


class RefusedError(ForeshadowError):
    """A guard, a stale plan or drift said no: nothing was done, a person has to look."""

    code = "refused"


class StalePlanError(RefusedError):
    """The plan saw another world, or is older than it may be: plan again."""

    code = "stale_plan"


class LeaseHeldError(RefusedError):
    """Somebody else moves this resource now: wait for them."""

    code = "lease_held"


class FencedError(RefusedError):
    """A newer fencing token has been seen: this actor is late and must stop."""

    code = "fenced"


class NoCapacityError(RefusedError):
    """A cloud has no room for an instance, or a quota is used up: try another host."""

    code = "no_capacity"


class AccessError(ForeshadowError):
    """A certificate, token or permission is missing or wrong."""

    code = "access"


class UnreachableError(ForeshadowError):
    """An agent, load balancer or API did not answer: the operator of that host has to look."""

    code = "unreachable"


class ServiceError(ForeshadowError):
    """The service does not start, or does not pass its health check: its owner has to look."""

    code = "service"


class DirectorError(ForeshadowError):
    """A director did not do, or does not show, what it was told."""

    code = "director"


class MetricsError(ForeshadowError):
    """A metric source does not answer, or answers what cannot be read."""

    code = "metrics"


class SyncError(ForeshadowError):
    """State could not be captured, sent or applied; the last good version is intact."""

    code = "sync"


class RolledBackError(ForeshadowError):
    """A switchover failed before its pivot and was undone: traffic is where it was."""

    code = "rolled_back"
    switchover: dict[str, object] | None = None

    def details(self) -> dict[str, object]:
        """Return the switchover as it ended, where it is known."""
        return {} if self.switchover is None else {"switchover": self.switchover}


class TerraformError(ForeshadowError):
    """Terraform is not there, or did not do what it was told: the project's owner has to look."""

    code = "terraform"


class LedgerError(ForeshadowError):
    """The ledger cannot be opened, or is of another version."""

    code = "ledger"


def _tree(root: type[ForeshadowError]) -> list[type[ForeshadowError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _tree(child))]


BY_CODE: dict[str, type[ForeshadowError]] = {kind.code: kind for kind in _tree(ForeshadowError)}
"""Every error class by its code, for what arrives over the wire."""
