"""Requests to AWS: bounded in time and number, and never repeated blindly after a lost reply.

A read is repeated by boto3 itself, in its standard mode. A write is made once; when AWS was too
busy it is made again, and when no reply came it is read back whether it was done.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from threading import Lock
from typing import Any

from foreshadow.cloud.complaints import Done, done, explain
from foreshadow.cloud.options import AwsOptions
from foreshadow.domain.errors import ForeshadowError, SpecError, UnreachableError

Reply = dict[str, Any]

_PREFIXES = {"elbv2": "elasticloadbalancing"}
"""What a policy calls a service, where that is not boto3's name of it."""
_CONNECT_SECONDS = 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_MAKING = Lock()


class Aws:
    """The way to one account and region.

    :param where: the thing that requests are about, for what is told of errors.
    """

    def __init__(
        self,
        options: AwsOptions,
        where: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._where = where
        self._sleep = sleep

    def read(self, service: str, operation: str, **parameters: Any) -> Reply:
        """Return the reply to a request that changes nothing.

        :param operation: as AWS names it: ``DescribeListeners``.
        :raises ForeshadowError: when there is no reply, with what to do about it.
        """
        client = self._client(service, self._options.attempts, operation)
        try:
            return self._request(client, service, operation, parameters)
        except _FailedError as failed:
            raise failed.told from None

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[Reply]:
        """Give the replies to a request that changes nothing, page by page.

        :raises ForeshadowError: as :meth:`read`.
        """
        client = self._client(service, self._options.attempts, operation)
        pages = iter(client.get_paginator(_method(operation)).paginate(**parameters))
        try:
            while (
                page := self._guarded(lambda: next(pages, None), service, operation)
            ) is not None:
                yield page
        except _FailedError as failed:
            raise failed.told from None

    def write(
        self,
        service: str,
        operation: str,
        settled: Callable[[], bool],
        *,
        attempts: int = 0,
        **parameters: Any,
    ) -> Reply | None:
        """Make a change, and return its reply; ``None`` when it was lost and the change is there.

        :param settled: reads back whether the change is there.
        :param attempts: how often it is tried; default: as the options say.
        :raises UnreachableError: when it could not be made, or when its outcome is not known.
        :raises ForeshadowError: when AWS refuses it; nothing was changed then.
        """
        client = self._client(service, 1, operation)
        attempts = attempts or self._options.attempts
        for attempt in range(1, attempts + 1):
            try:
                return self._request(client, service, operation, parameters)
            except _FailedError as failed:
                outcome = done(failed.cause)
                if outcome is Done.PERHAPS and self._read_back(settled, operation, service):
                    return None
                if outcome is Done.NO or attempt == attempts:
                    raise failed.told from None
            self._pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _read_back(self, settled: Callable[[], bool], operation: str, service: str) -> bool:
        try:
            return settled()
        except UnreachableError as error:
            raise UnreachableError(
                f"no reply to {_action(service, operation)} came, and it cannot be read back "
                f"whether it was done ({error.problem})",
                where=self._where,
                remedy="its state is unknown: read it again when AWS answers",
            ) from None

    def _pause(self, attempt: int) -> None:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
        self._sleep(random.uniform(_FIRST_PAUSE, longest))

    def _request(
        self, client: Any, service: str, operation: str, parameters: dict[str, Any]
    ) -> Reply:
        method = getattr(client, _method(operation))
        reply: Reply = self._guarded(lambda: method(**parameters), service, operation)
        return reply

    def _guarded(self, ask: Callable[[], Any], service: str, operation: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return ask()
        except (BotoCoreError, ClientError) as error:
            action = _action(service, operation)
            told = explain(error, action, self._where, self._region())
            raise _FailedError(told, error) from None

    def _client(self, service: str, attempts: int, operation: str) -> Any:
        try:
            import botocore.exceptions
        except ModuleNotFoundError:
            raise SpecError(
                "AWS needs the package boto3, which is not installed",
                where=self._where,
                remedy="install ansible-foreshadow[aws]",
            ) from None
        options = self._options
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        try:
            with _MAKING:  # making a session is not safe in several threads; using a client is
                return _made(
                    service, self._region(), options.profile, options.timeout, attempts, endpoint
                )
        except botocore.exceptions.BotoCoreError as error:
            action = _action(service, operation)
            raise explain(error, action, self._where, options.region) from None

    def _region(self) -> str | None:
        """Return the region to ask; ``None`` leaves it to the profile."""
        named = self._options.region or os.environ.get("AWS_REGION")
        return named or os.environ.get("AWS_DEFAULT_REGION")


class _FailedError(Exception):
    """An error of boto3, and what is told of it."""

    def __init__(self, told: ForeshadowError, cause: Exception) -> None:
        super().__init__(str(told))
        self.told = told
        self.cause = cause


@lru_cache(maxsize=64)
def _made(
    service: str,
    region: str | None,
    profile: str | None,
    timeout: float,
    attempts: int,
    endpoint: str | None,
) -> Any:
    """Return a client, which may be shared by threads."""
    from botocore.config import Config

    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, timeout),
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="foreshadow",
    )
    return _maker(region, profile, endpoint)(service, config=config)


@lru_cache(maxsize=64)
def _maker(region: str | None, profile: str | None, endpoint: str | None) -> Callable[..., Any]:
    """Return what makes the clients of one account and region.

    It keeps what it has read of each service: the second client of a service costs a few
    milliseconds, where one of a session of its own takes as long as the first.
    """
    import boto3

    session = boto3.session.Session(profile_name=profile, region_name=region)
    return partial(session.client, endpoint_url=endpoint)


def _method(operation: str) -> str:
    from botocore import xform_name

    return str(xform_name(operation))


def _action(service: str, operation: str) -> str:
    return f"{_PREFIXES.get(service, service)}:{operation}"
