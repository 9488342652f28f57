"""Reading the records of one name, and changing them in one transaction.

Every change is an intent that is asked again for each reading: it says what to do, or that there
is nothing to do, or refuses. A batch whose answer is lost is not repeated before the records have
been read back; should it arrive late, it deletes a claim that is gone, and does nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from foreshadow.directors.cloudflare.api import Api
from foreshadow.directors.cloudflare.claim import mark_start
from foreshadow.directors.cloudflare.options import DnsOptions
from foreshadow.directors.cloudflare.records import (
    Batch,
    Record,
    Step,
    View,
    changed,
    parse_page,
)
from foreshadow.directors.cloudflare.repeat import make_sure
from foreshadow.directors.cloudflare.times import Patience, Times
from foreshadow.domain.errors import DirectorError

if TYPE_CHECKING:
    from cloudflare import Cloudflare

    from foreshadow.directors.cloudflare.api import Reply

Intent = Callable[[View], Step | None]

_PER_PAGE = 100


class Zone:
    """One name in its zone.

    :param data: of the targets: by host, the content of its records by type.
    """

    def __init__(
        self,
        options: DnsOptions,
        resource: str,
        data: Mapping[str, Mapping[str, str]],
        api: Api,
        times: Times,
    ) -> None:
        self._options = options
        self._resource = resource
        self._data = data
        self._api = api
        self._times = times
        self._last: tuple[View, float] | None = None

    def view(self, age: float = 0.0) -> View:
        """Return the records as they are; when few calls are left, as they were a moment ago.

        :param age: seconds for which what was seen is good enough in any case.
        :raises UnreachableError: when Cloudflare does not answer in time.
        """
        if self._last is not None:
            view, read_at = self._last
            if self._times.monotonic() - read_at < max(age, self._api.spacing()):
                return view
        return self._read(self._api.patience())

    def seen(self) -> View:
        """Return the records as they were seen last; read them only when they never were."""
        return self.view() if self._last is None else self._last[0]

    def change(self, intent: Intent) -> View:
        """Make what an intent says, once, and return the records after it.

        :raises UnreachableError: when Cloudflare does not answer; nothing was changed.
        :raises DirectorError: when it is not known whether it was changed.
        :raises ForeshadowError: what the intent or Cloudflare refused; nothing was changed.
        """
        write = secrets.token_hex(8)

        def attempt(view: View) -> Callable[[Patience], View] | None:
            if view.claim.write == write:
                return None  # it was done, and only the answer was lost
            step = intent(view)
            if step is None:
                return None
            batch = step.claiming(view, write)
            return lambda patience: self._after(view, batch, self._send(batch, patience))

        return make_sure(self._api, self._read, attempt)

    def _send(self, batch: Batch, patience: Patience) -> Any:
        given: dict[str, Any] = {kind: each for kind, each in asdict(batch).items() if each}
        zone = self._options.zone_id
        return self._api.write(
            lambda client: client.dns.records.with_raw_response.batch(zone_id=zone, **given),
            patience,
        )

    def _after(self, view: View, batch: Batch, body: Any) -> View:
        """Return the records after a batch, as the answer to it tells them."""
        with self._named():
            self._last = (changed(view, batch, body), self._times.monotonic())
        return self._last[0]

    def _read(self, patience: Patience) -> View:
        view = View.of(
            list(self._listed(patience)),
            resource=self._resource,
            name=self._options.name,
            where=self._api.subject.where,
            data=self._data,
        )
        self._last = (view, self._times.monotonic())
        return view

    def _listed(self, patience: Patience) -> Iterator[Record]:
        """Yield the records of the name, and all of the resource: so one call finds the claim too.

        The SDK's own pages would cost one more call, for a last page that is empty.
        """
        page, pages = 1, 1
        while page <= pages:
            body = self._api.read(lambda client: self._page(client, page), patience)  # noqa: B023
            with self._named():
                found, pages = parse_page(body)
            yield from found
            page += 1

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say where an answer could not be read."""
        try:
            yield
        except DirectorError as error:
            raise DirectorError(error.problem, where=self._api.subject.where) from None

    def _page(self, client: Cloudflare, page: int) -> Reply:
        return client.dns.records.with_raw_response.list(
            zone_id=self._options.zone_id,
            match="any",
            name={"exact": self._options.name},
            comment={"startswith": mark_start(self._resource)},
            per_page=_PER_PAGE,
            page=page,
        )
