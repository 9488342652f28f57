"""One load balancer pool as the API tells it, in hosts; and the origins that make weights so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foreshadow.directors.cloudflare.claim import mark, marked_token
from foreshadow.directors.weights import percentages
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError, RefusedError, UnknownNameError

_MARK = re.compile(r"\s*\[(foreshadow/[^\]]*)\]\s*$")
_READ_ONLY = ("disabled_at", "healthy", "failure_reason")


@dataclass(frozen=True, slots=True)
class Origin:
    """One origin of a pool.

    :ivar well: whether the monitor finds it so in every region; ``None`` when nobody looks.
    """

    name: str
    address: str
    enabled: bool
    weight: float
    well: bool | None

    @property
    def told(self) -> int:
        """Return the hundredths of weight that new requests would get if it were well."""
        return round(self.weight * 100) if self.enabled else 0

    @property
    def carries(self) -> int:
        """Return the hundredths of weight that new requests get."""
        return 0 if self.well is False else self.told


@dataclass(frozen=True)
class PoolView:
    """One pool, and what its monitor finds.

    :ivar targets: by host, the name of its origin.
    :ivar raw: the pool as the API tells it, so that nothing that it holds is lost.
    :ivar health: by address, whether every region finds it well.
    """

    resource: str
    where: str
    targets: Mapping[str, str]
    raw: Mapping[str, Any]
    health: Mapping[str, bool]

    @property
    def name(self) -> str:
        """Return the pool's name."""
        return str(self.raw.get("name") or self.raw.get("id"))

    @property
    def monitored(self) -> bool:
        """Return whether anybody looks at its origins."""
        return bool(self.raw.get("monitor") or self.raw.get("monitor_group"))

    def origins(self) -> list[Origin]:
        """Return the origins."""
        return [
            Origin(
                name=str(raw.get("name")),
                address=str(raw.get("address")),
                enabled=raw.get("enabled") is not False,
                weight=1.0 if raw.get("weight") is None else float(raw["weight"]),
                well=self.health.get(str(raw.get("address")), False) if self.monitored else None,
            )
            for raw in self.raw.get("origins") or ()
        ]

    def origin(self, host: str) -> Origin:
        """Return the origin of a host.

        :raises UnknownNameError: when the pool has none of that name.
        """
        for origin in self.origins():
            if origin.name == self.targets[host]:
                return origin
        names = ", ".join(origin.name for origin in self.origins()) or "none"
        raise UnknownNameError(
            f"pool {self.name} has no origin {self.targets[host]} for host {host}",
            where=self.where,
            remedy=f"add one, or set targets; it has: {names}",
        )

    def weights(self) -> dict[str, int]:
        """Return where new requests go, as percentages by host, or by origin that is not ours."""
        if self.raw.get("enabled") is False:
            return {}
        return percentages({self._host(one): one.carries for one in self.origins()})

    def told(self) -> dict[str, int]:
        """Return where new requests would go if every origin were well."""
        return percentages({self._host(one): one.told for one in self.origins()})

    def modified(self) -> WallTime:
        """Return when the pool was changed last, by Cloudflare's clock.

        :raises DirectorError: when the answer does not tell.
        """
        try:
            return WallTime(datetime.fromisoformat(str(self.raw["modified_on"])).timestamp())
        except (KeyError, ValueError):
            raise DirectorError(
                f"Cloudflare does not tell when pool {self.name} was changed", where=self.where
            ) from None

    def drift(self) -> str:
        """Return what is not as we would have made it, in one line; empty when all is."""
        if self.raw.get("enabled") is False:
            return f"pool {self.name} is disabled"
        for origin in self._foreign():
            return f"origin {origin.name} of pool {self.name} has traffic and is no host's target"
        return ""

    def refuse_foreign(self) -> None:
        """Refuse to go on beside origins that somebody else manages, or in somebody else's pool.

        :raises RefusedError: naming it.
        """
        found = _MARK.search(str(self.raw.get("description") or ""))
        if found and marked_token(found[1], self.resource) is None:
            raise RefusedError(
                f"pool {self.name} is marked as {found[1]}",
                where=self.where,
                remedy="give each resource a pool of its own, or take the mark off its description",
            )
        for origin in self._foreign():
            raise RefusedError(
                f"origin {origin.name} of pool {self.name} has traffic and is no host's target",
                where=self.where,
                remedy="disable it, give it weight 0, or name it in targets",
            )

    def refuse_older(self, token: int) -> None:
        """Refuse an actor that is late.

        :raises FencedError: naming the newer token.
        """
        if token < (newest := self.token()):
            raise FencedError(
                f"fencing token {token} is older than {newest}",
                where=self.where,
                remedy="somebody else has taken over: stop",
            )

    def token(self) -> int:
        """Return the token of who changed the pool last, of ours; 0 when nobody did."""
        found = _MARK.search(str(self.raw.get("description") or ""))
        return (marked_token(found[1], self.resource) or 0) if found else 0

    def changed(self, wanted: Mapping[str, Mapping[str, Any]], token: int) -> dict[str, Any] | None:
        """Return what to write so that origins have these fields; ``None`` when they have.

        A pool takes its origins only all together, so those of others are written as they are.

        :param wanted: by host, fields of its origin.
        """
        by_name = {self.targets[host]: fields for host, fields in wanted.items()}
        before = [_writable(raw) for raw in self.raw.get("origins") or ()]
        after = [{**raw, **by_name.get(str(raw.get("name")), {})} for raw in before]
        if after == before:
            return None
        described = _MARK.sub("", str(self.raw.get("description") or ""))
        ours = f"[{mark(self.resource, token)}]"
        return {"origins": after, "description": f"{described} {ours}".strip()}

    def _foreign(self) -> list[Origin]:
        ours = set(self.targets.values())
        return [one for one in self.origins() if one.name not in ours and one.told]

    def _host(self, origin: Origin) -> str:
        named = (host for host, name in self.targets.items() if name == origin.name)
        return next(named, origin.name)


def _writable(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in _READ_ONLY}


def parse_health(body: Any) -> dict[str, bool]:
    """Return, by address, whether every region that looks finds an origin well.

    :param body: ``{"result": {"pop_health": {region: {"origins": [{address: {"healthy": …}}]}}}}``
    """
    result = body.get("result") if isinstance(body, Mapping) else None
    regions = result.get("pop_health") if isinstance(result, Mapping) else None
    found: dict[str, bool] = {}
    for region in regions.values() if isinstance(regions, Mapping) else ():
        listed = region.get("origins") if isinstance(region, Mapping) else None
        for entry in listed if isinstance(listed, Sequence) else ():
            for address, health in entry.items():
                well = isinstance(health, Mapping) and health.get("healthy") is True
                found[address] = found.get(address, True) and well
    return found
