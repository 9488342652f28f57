"""Cloudflare's load balancing as a director: origin weights in one or more pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from foreshadow.directors.cloudflare.api import Api, Connection
from foreshadow.directors.cloudflare.complaints import Subject
from foreshadow.directors.cloudflare.options import LbOptions, parse_options, target
from foreshadow.directors.cloudflare.pools import PoolView, parse_health
from foreshadow.directors.cloudflare.repeat import make_sure
from foreshadow.directors.cloudflare.times import Patience, Times
from foreshadow.directors.weights import checked_weights, shown
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError
from foreshadow.domain.protocols import Endpoint
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import format_duration
from foreshadow.wire.access import Access

if TYPE_CHECKING:
    from cloudflare import Cloudflare

_POLL_SECONDS = 2.0
_SLACK_SECONDS = 1.0
_LATE_SECONDS = 10.0
"""After which Cloudflare has done what it did not answer, or never will.

A pool has no compare-and-swap: an edit that came after later ones would undo them."""
_INTERVAL, _TIMEOUT, _RETRIES = 60.0, 5.0, 2
"""What a monitor does unless it says otherwise."""

Intent = Callable[[PoolView], dict[str, Any] | None]


class CloudflareLbDirector:
    """Splits traffic by the weights of the hosts' origins, in every pool alike.

    An origin with traffic is enabled with its percentage as weight; one that is admitted, or has
    lost its traffic, is enabled with weight 0, so that its monitor looks at it; one that may be
    frozen is disabled. A pool is written whole and at once: nobody is ever left without traffic.

    :param resource: whose traffic it is; fencing tokens count per resource and pool.
    :raises SpecError: when the options of the director are malformed.
    """

    def __init__(
        self, spec: DirectorSpec, resource: str, access: Access, *, times: Times | None = None
    ) -> None:
        del access  # Cloudflare is called from here, and its monitors look at the hosts
        self._spec = spec
        self._resource = resource
        self._times = times or Times()
        self._options = options = parse_options(LbOptions, spec, resource)
        connection = Connection(options, self._times)
        self._seen: dict[str, PoolView] = {}
        self._apis = {pool: Api(connection, self._subject(pool)) for pool in options.pools}

    def read(self) -> tuple[Endpoint, ...]:
        """Return where traffic goes now, in every pool."""
        return tuple(self._endpoint(view) for view in self._views())

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Enable a host's origin with weight 0, and wait until the monitors of all pools pass it.

        Cloudflare does not tell when it looked. So a finding counts only once so much time has
        passed since the thaw, and since the origin was enabled, that a check that began later has
        ended. A host that has traffic is left alone.

        :param since: when the host was thawed; it has passed.
        :raises DirectorError: when it passes no check in time, or nobody looks.
        """
        target(self._spec, host, self._where)
        views = self._views()
        for view in views:
            view.refuse_older(token)
            view.origin(host)
            if not view.monitored:
                raise DirectorError(
                    f"pool {view.name} has no monitor, so nobody looks whether {host} is well",
                    where=view.where,
                    remedy="attach a monitor of type HTTP or HTTPS to the pool",
                )
        for pool, view in zip(self._options.pools, views, strict=True):
            if not view.told().get(host):
                self._admit_in(pool, view, host, since, token)

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Send traffic by percentages, in every pool; looks at all of them before it changes one.

        :raises UnreachableError: when Cloudflare did not answer before anything was changed.
        :raises DirectorError: when a host is not admitted or not well, or a change is in doubt.
        :raises RefusedError: when origins of somebody else have traffic.
        """
        wanted = checked_weights(weights)
        for host in wanted:
            target(self._spec, host, self._where)

        def intent(view: PoolView) -> dict[str, Any] | None:
            view.refuse_older(token)
            view.refuse_foreign()
            self._refuse_unready(view, wanted)
            present = {one.name for one in view.origins()}
            fields = {
                host: {"weight": wanted.get(host, 0) / 100}
                for host, name in self._spec.targets.items()
                if name in present and (wanted.get(host) or view.origin(host).told)
            }
            return None if view.told() == wanted else view.changed(fields, token)

        for pool, view in self._agreed(intent):
            after = self._change(pool, view, intent)
            if after.told() != wanted:
                raise DirectorError(
                    f"shows {shown(after.told())}, told {shown(wanted)}",
                    where=after.where,
                    remedy="look for somebody else who changes weights",
                )

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether every pool shows these weights, with what its monitors find."""
        wanted = checked_weights(weights)
        return all(view.weights() == wanted for view in self._views())

    def drained(self, host: str) -> bool:
        """Return whether all of Cloudflare's servers know that the host has no traffic.

        The requests themselves are known to the service alone.
        """
        return all(self._left(pool, host) for pool in self._options.pools)

    def retire(self, host: str, token: int) -> None:
        """Disable the origin of a host without traffic, so that no monitor looks at it.

        :raises DirectorError: when it has traffic somewhere; nothing was changed then.
        """
        target(self._spec, host, self._where)

        def intent(view: PoolView) -> dict[str, Any] | None:
            view.refuse_older(token)
            if view.told().get(host):
                raise DirectorError(
                    f"{host} still has traffic",
                    where=view.where,
                    remedy="send its traffic elsewhere first",
                )
            view.origin(host)
            return view.changed({host: {"enabled": False}}, token)

        for pool, view in self._agreed(intent):
            self._change(pool, view, intent)

    def persist(self) -> None:
        """Do nothing: Cloudflare keeps what it was told."""

    def _left(self, pool: str, host: str) -> bool:
        """Return whether a host has left a pool for good; without a call while it cannot have."""
        last = self._options.propagation + _SLACK_SECONDS
        seen = self._seen.get(pool)
        if seen is not None and self._times.now() < seen.modified() + last:
            return False
        view = self._view(pool, health=False)
        return not view.told().get(host) and self._times.now() >= view.modified() + last

    def _agreed(self, intent: Intent) -> list[tuple[str, PoolView]]:
        """Return the pools as they are, once an intent refuses none of them."""
        views = self._views()
        for view in views:
            intent(view)
        return list(zip(self._options.pools, views, strict=True))

    def _admit_in(
        self, pool: str, before: PoolView, host: str, since: WallTime, token: int
    ) -> None:
        def intent(view: PoolView) -> dict[str, Any] | None:
            view.refuse_older(token)
            if view.told().get(host):
                return None
            view.refuse_foreign()
            return view.changed({host: {"enabled": True, "weight": 0}}, token)

        enabled = before.origin(host).enabled
        view = self._change(pool, before, intent)
        if not enabled:
            since = WallTime(max(since, self._times.now()))
        deadline = self._times.monotonic() + self._options.admit_timeout
        window = self._one_check(pool, view)
        while not (self._times.now() >= since + window and view.origin(host).well):
            if self._times.monotonic() > deadline:
                raise DirectorError(
                    f"{host} passed no check within {format_duration(self._options.admit_timeout)}",
                    where=view.where,
                    remedy=f"see that the service answers the pool's monitor, and that "
                    f"admit_timeout is above the {format_duration(window)} that one check may take",
                )
            left = since + window - self._times.now()  # nothing that is found before it counts
            self._times.sleep(min(max(left, _POLL_SECONDS), self._options.admit_timeout))
            view = self._view(pool)

    def _one_check(self, pool: str, view: PoolView) -> float:
        """Return the seconds after which a check that began later than now has surely ended."""
        monitor = view.raw.get("monitor")
        found: Mapping[str, Any] = {}
        if monitor:
            api, account = self._apis[pool], self._options.account_id
            body = api.read(
                lambda client: client.load_balancers.monitors.with_raw_response.get(
                    str(monitor), account_id=account
                ),
                api.patience(),
            )
            found = body.get("result") or {}
        interval = float(found.get("interval", _INTERVAL))
        return interval + float(found.get("timeout", _TIMEOUT)) * (
            1 + float(found.get("retries", _RETRIES))
        )

    def _refuse_unready(self, view: PoolView, wanted: Mapping[str, int]) -> None:
        """Refuse to send traffic to a host that is not admitted, or not well.

        One that has been sent traffic so far may keep its share although it is down: Cloudflare
        spares it, and it is the kind of host that is being left.
        """
        for host in wanted:
            origin = view.origin(host)
            if not origin.told and not (origin.enabled and origin.well):
                state = "not found well" if origin.enabled else "disabled"
                raise DirectorError(
                    f"{host} cannot take traffic: its origin is {state}",
                    where=view.where,
                    remedy="admit it first, when the service there is well",
                )

    def _endpoint(self, view: PoolView) -> Endpoint:
        well = {one.name for one in view.origins() if one.enabled and one.well}
        return Endpoint(
            name=f"Cloudflare pool {view.name}",
            weights=view.weights(),
            checked={
                host: self._times.now() for host, name in self._spec.targets.items() if name in well
            },
            in_flight={},
            drift=view.drift(),
        )

    def _views(self) -> list[PoolView]:
        return [self._view(pool) for pool in self._options.pools]

    def _view(self, pool: str, *, health: bool = True) -> PoolView:
        return self._read(pool, self._apis[pool].patience(), health=health)

    def _read(self, pool: str, patience: Patience, *, health: bool = True) -> PoolView:
        api, account = self._apis[pool], self._options.account_id

        def get(client: Cloudflare) -> Any:
            return client.load_balancers.pools.with_raw_response.get(pool, account_id=account)

        def get_health(client: Cloudflare) -> Any:
            return client.load_balancers.pools.health.with_raw_response.get(
                pool, account_id=account
            )

        raw = api.read(get, patience).get("result") or {}
        found = parse_health(api.read(get_health, patience)) if health else {}
        return PoolView(self._resource, api.subject.where, self._spec.targets, raw, found)

    def _change(self, pool: str, first: PoolView, intent: Intent) -> PoolView:
        """Make what an intent says, and return the pool after it.

        :param first: the pool as it was read just now.
        :raises DirectorError: when it is not known whether it was changed.
        """
        api, account = self._apis[pool], self._options.account_id

        def attempt(view: PoolView) -> Callable[[Patience], PoolView] | None:
            fields = intent(view)
            if fields is None:
                return None

            def edit(client: Cloudflare) -> Any:
                edit = client.load_balancers.pools.with_raw_response.edit
                return edit(pool, account_id=account, **fields)

            def send(patience: Patience) -> PoolView:
                return replace(view, raw=api.write(edit, patience).get("result") or {})

            return send

        def read(patience: Patience) -> PoolView:
            return self._read(pool, patience)

        self._seen[pool] = view = make_sure(api, read, attempt, first=first, late=_LATE_SECONDS)
        return view

    def _subject(self, pool: str) -> Subject:
        return Subject(
            where=f"{self._where}, pool {pool}",
            thing=f"pool {pool} in account {self._options.account_id}",
            permission="Account > Load Balancing: Monitors and Pools > Edit",
            token=self._options.token_place(),
        )

    @property
    def _where(self) -> str:
        return f"resource {self._resource}, Cloudflare"
