"""Making one change once, over an API that loses answers and has no names for requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from foreshadow.directors.cloudflare.api import Api, UncertainError
from foreshadow.directors.cloudflare.complaints import OvertakenError
from foreshadow.directors.cloudflare.times import Patience
from foreshadow.domain.errors import DirectorError, ForeshadowError, UnreachableError

View = TypeVar("View")

_OVERTAKEN_AT_MOST = 3


def make_sure(
    api: Api,
    read: Callable[[Patience], View],
    attempt: Callable[[View], Callable[[Patience], View] | None],
    *,
    first: View | None = None,
    late: float = 0.0,
) -> View:
    """Return the view after a change; nothing is sent again before it has been read back.

    :param attempt: is asked again after each reading: it returns what sends the change, or
        ``None`` when there is nothing to do (any more), or refuses.
    :param first: what was read just now, to begin with.
    :param late: seconds after which what was not answered is done or never will be; for changes
        that would do harm if they came after later ones.
    :raises UnreachableError: when Cloudflare does not answer in time; nothing was changed.
    :raises DirectorError: when it is not known whether it was changed.
    :raises ForeshadowError: what was refused; nothing was changed.
    """
    patience = api.patience()
    in_doubt, overtaken = False, 0
    while True:
        try:
            view = read(patience) if first is None else first
        except UnreachableError as error:
            raise _as_known(error, in_doubt) from None
        first = None
        if (send := attempt(view)) is None:
            return view
        try:
            return send(patience)
        except OvertakenError:
            overtaken += 1
            if overtaken == _OVERTAKEN_AT_MOST:
                raise
            continue
        except UnreachableError as error:
            failure = error
            in_doubt = in_doubt or isinstance(error, UncertainError)
        try:
            patience.before_next_try(failure, late if isinstance(failure, UncertainError) else 0.0)
        except UnreachableError as over:
            raise _as_known(over, in_doubt) from None


def _as_known(error: UnreachableError, in_doubt: bool) -> ForeshadowError:
    if not in_doubt:
        return error
    return DirectorError(
        f"{error.problem} in the middle of a change: its state is unknown",
        where=error.where,
        remedy="read it again when Cloudflare answers, and repeat or undo the change",
    )
