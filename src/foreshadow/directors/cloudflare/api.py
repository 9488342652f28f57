"""The only place that calls Cloudflare: through the official SDK, with its own repetitions off.

The SDK repeats a POST without anything that would make that safe, and passes over a long
``Retry-After``. Here a read is repeated within the action's time; a write never is: who made it
looks first whether it was done (:class:`UncertainError`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from foreshadow.directors.cloudflare.complaints import Subject, complaint
from foreshadow.directors.cloudflare.options import ApiOptions
from foreshadow.directors.cloudflare.times import Patience, Quiet, Times, asked_wait, spacing
from foreshadow.domain.errors import SpecError, UnreachableError
from foreshadow.domain.units import format_duration

if TYPE_CHECKING:
    from cloudflare import Cloudflare


class UncertainError(UnreachableError):
    """A write was sent and its answer is missing: it may be done, or may still be done."""


class Reply(Protocol):
    """What the SDK gives back for a raw call."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers, by names in lower case."""
        ...

    def json(self) -> Any:
        """Return the body."""
        ...


class Connection:
    """One token's way to Cloudflare, which any number of :class:`Api` share: limits are its own."""

    def __init__(self, options: ApiOptions, times: Times) -> None:
        self.options = options
        self.times = times
        self.quiet = Quiet(times)
        self.spacing = 0.0
        self._made: Cloudflare | None = None

    def client(self, where: str) -> Cloudflare:
        """Return the SDK's client; it takes long to import, so nobody pays who calls nothing.

        :raises AccessError: when there is no token.
        :raises SpecError: when the SDK is not installed.
        """
        if self._made is None:
            try:
                from cloudflare import Cloudflare
            except ModuleNotFoundError as error:
                raise SpecError(
                    f"needs the package {error.name}, which is not installed",
                    where=where,
                    remedy="install the extra cloudflare of ansible-foreshadow",
                ) from error
            made = Cloudflare(
                api_token=self.options.token(where),
                base_url=self.options.base_url,
                max_retries=0,
                timeout=self.options.timeout,
            )
            # What the SDK found in the environment: a global key can do more than it should.
            made.api_key = made.api_email = made.user_service_key = None
            self._made = made
        return self._made


class Api:
    """Calls about one zone or pool."""

    def __init__(self, connection: Connection, subject: Subject) -> None:
        self.subject = subject
        self._connection = connection

    def spacing(self) -> float:
        """Return the seconds that should lie between two looks at the same thing."""
        return self._connection.spacing

    def patience(self) -> Patience:
        """Return the time for one action."""
        shared = self._connection
        return Patience(shared.times, shared.quiet, shared.options.deadline, self.subject.where)

    def read(self, call: Callable[[Cloudflare], Reply], patience: Patience) -> Any:
        """Return the body that a read answers with; repeat it while there is time.

        :raises UnreachableError: when Cloudflare does not answer in time.
        :raises ForeshadowError: what it refused.
        """
        while True:
            patience.wait_for_turn()
            try:
                return self._call(call)
            except UnreachableError as error:
                patience.before_next_try(error)

    def write(self, call: Callable[[Cloudflare], Reply], patience: Patience) -> Any:
        """Return the body that a write answers with; made once.

        :raises UncertainError: when nobody knows whether it was done.
        :raises UnreachableError: when it was not done, for too many calls were made.
        :raises ForeshadowError: what Cloudflare refused: it was not done.
        """
        patience.wait_for_turn()
        return self._call(call)

    def _call(self, call: Callable[[Cloudflare], Reply]) -> Any:
        from cloudflare import APIConnectionError, APIStatusError, APITimeoutError

        where, limit = self.subject.where, self._connection.options.timeout
        try:
            reply = call(self._connection.client(where))
        except APITimeoutError:
            raise UncertainError(
                f"Cloudflare did not answer within {format_duration(limit)}",
                where=where,
                remedy="raise the director's timeout, or look at the network",
            ) from None
        except APIConnectionError as error:
            raise UncertainError(
                f"Cloudflare cannot be reached: {error.__cause__ or error}",
                where=where,
                remedy="look at the network, and at base_url",
            ) from None
        except APIStatusError as error:
            raise self._failure(error.status_code, error.response.headers, error.body) from None
        self._connection.quiet.extend(asked_wait(reply.headers, refused=False))
        self._connection.spacing = spacing(reply.headers)
        try:
            body = reply.json()
        except ValueError:
            raise UncertainError(
                "the answer is not JSON", where=where, remedy="check that base_url is Cloudflare's"
            ) from None

        if not isinstance(body, Mapping) or body.get("success") is False:
            raise complaint(400, body, self.subject)
        return body

    def _failure(self, status: int, headers: Mapping[str, str], body: object) -> Exception:
        where = self.subject.where
        if status == 429:
            self._connection.quiet.extend(asked_wait(headers, refused=True))
            return UnreachableError(
                "Cloudflare refused a call: too many were made",
                where=where,
                remedy="wait, or raise the director's deadline",
            )
        if status >= 500 or status in (408, 409):
            return UncertainError(
                f"Cloudflare failed with HTTP {status}",
                where=where,
                remedy="see https://www.cloudflarestatus.com",
            )
        return complaint(status, body, self.subject)
