"""What resolvers that clients use answer about the name: they see a change last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from foreshadow.directors.followers import Dates, Followers
from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import ForeshadowError, SpecError
from foreshadow.domain.protocols import Answer

if TYPE_CHECKING:
    from foreshadow.directors.rfc2136_options import Server

_SECONDS = 3.0


class Resolvers:
    """Asks resolvers about one name, and remembers since when each answers as it does.

    :param named: their addresses, each with its port where that is not 53.
    :param data: of the targets: by host, the content of its records by type.
    :raises SpecError: when one is no address, or what asks them is not installed.
    """

    def __init__(
        self,
        named: Sequence[str],
        name: str,
        data: Mapping[str, Mapping[str, str]],
        now: WallClock,
        where: str,
    ) -> None:
        self._name = name
        self._data = data
        self._kinds = sorted({kind for records in data.values() for kind in records})
        self._now = now
        self._where = where
        self._servers = [_server(text, where) for text in named]
        self._dates = Dates(now)
        self._followers = Followers(self.answers)

    def await_change(self, host: str) -> None:
        """Look at them now, and again with each :meth:`note`, until all lead to a host."""
        self._followers.expect(host)
        self.note()

    def note(self) -> None:
        """Note who has followed a change since it was made, when somebody is still to."""
        self._followers.note()

    def answers(self) -> tuple[Answer, ...]:
        """Ask every one once; one that does not answer is among them, with its problem."""
        if not self._servers:
            return ()
        with ThreadPoolExecutor(len(self._servers)) as pool:
            return tuple(pool.map(self._ask, self._servers))

    def _ask(self, server: Server) -> Answer:
        import dns.name

        from foreshadow.directors.rfc2136_wire import Asking

        asking = Asking(_SECONDS, self._where)
        found: dict[str, set[str]] = {}
        ttl = 0.0
        try:
            for kind in self._kinds:
                records = asking.resolver(server, dns.name.from_text(self._name), kind)
                if records is not None:
                    found[kind] = {one.to_text().rstrip(".").lower() for one in records}
                    ttl = max(ttl, float(records.ttl))
        except ForeshadowError as error:
            return Answer(str(server), False, (), 0.0, self._now(), error.problem)
        hosts = tuple(
            host
            for host, records in sorted(self._data.items())
            if any(content in found.get(kind, ()) for kind, content in records.items())
        )
        return Answer(str(server), False, hosts, ttl, self._dates.note(str(server), hosts))


def _server(text: str, where: str) -> Server:
    try:
        from foreshadow.directors.rfc2136_options import parse_server
    except ModuleNotFoundError as error:
        raise SpecError(
            f"asking resolvers needs the package {error.name}, which is not installed",
            where=where,
            remedy="install the extra dns of ansible-foreshadow, or leave resolvers out",
        ) from error
    try:
        return parse_server(text)
    except ValueError as error:
        problem, _, remedy = str(error).rpartition(": ")
        raise SpecError(problem, where=f"{where}, resolvers", remedy=remedy) from None
