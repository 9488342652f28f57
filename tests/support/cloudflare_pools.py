"""Load balancer pools of Cloudflare's, in memory, with monitors that really look at origins."""

from __future__ import annotations

import copy
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.cloudflare_zone import ApiRefusal

WRITABLE = {"name", "description", "enabled", "minimum_origins", "monitor", "origins",
            "origin_steering", "check_regions"}  # fmt: skip
ORIGIN = {"name", "address", "enabled", "weight", "port", "header", "virtual_network_id",
          "flatten_cname"}  # fmt: skip
REGIONS = ("WEU", "ENAM")


@dataclass
class FakePools:
    """The pools of one account.

    :ivar interval: seconds between two looks of a monitor at an enabled origin.
    :ivar written: each edit that took effect, as ``(pool, {origin: (enabled, weight)})``.
    """

    account: str
    path: str = "/healthz"
    interval: int = 10
    timeout: int = 2
    now: Callable[[], float] = lambda: 0.0
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: list[tuple[str, dict[str, tuple[bool, float]]]] = field(default_factory=list)
    _found: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def put(self, pool: str, origins: list[dict[str, Any]], **fields: Any) -> None:
        """Make a pool as a person does in the dashboard."""
        self.pools[pool] = {
            "id": pool, "name": f"pool-{pool[:4]}", "description": "", "enabled": True,
            "minimum_origins": 1, "monitor": "f" * 32, "check_regions": None,
            "origin_steering": {"policy": "random"}, "origins": copy.deepcopy(origins), **fields,
        }  # fmt: skip
        self._stamp(pool)

    def get(self, pool: str) -> dict[str, Any]:
        if pool not in self.pools:
            raise ApiRefusal(404, 1003, "pool not found")
        return self.pools[pool]

    def edit(self, pool: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Change a pool; its origins are replaced by those that are given."""
        found = self.get(pool)
        if unknown := set(fields) - WRITABLE:
            raise ApiRefusal(400, 1002, f"validation failed: unknown field {min(unknown)}")
        for origin in fields.get("origins", ()):
            if unknown := set(origin) - ORIGIN:
                raise ApiRefusal(400, 1002, f"validation failed: origin field {min(unknown)}")
            weight = origin.get("weight", 1)
            if not origin.get("name") or not origin.get("address"):
                raise ApiRefusal(400, 1002, "validation failed: origins need name and address")
            if not 0 <= weight <= 1 or round(weight * 100, 6) != round(weight * 100):
                raise ApiRefusal(400, 1002, f"validation failed: origin weight {weight}")
        found.update(copy.deepcopy(dict(fields)))
        for origin in found["origins"]:
            if origin.get("enabled") is False:
                origin["disabled_at"] = self._now()
        self._stamp(pool)
        shown = {o["name"]: (o.get("enabled", True), o.get("weight", 1)) for o in found["origins"]}
        self.written.append((pool, shown))
        return found

    def monitor(self, monitor: str) -> dict[str, Any]:
        return {"id": monitor, "type": "http", "path": self.path, "interval": self.interval,
                "timeout": self.timeout, "retries": 0, "expected_codes": "2xx"}  # fmt: skip

    def health(self, pool: str) -> dict[str, Any]:
        """Return what the monitor found last: not now, but when it looked."""
        found = self.get(pool)
        looked = [
            {origin["address"]: self._look(origin)}
            for origin in found["origins"]
            if found["monitor"] and origin.get("enabled", True)
        ]
        regions = {region: {"healthy": True, "origins": looked} for region in REGIONS}
        return {"pool_id": pool, "pop_health": regions}

    def _look(self, origin: Mapping[str, Any]) -> dict[str, Any]:
        address = origin["address"]
        at, well = self._found.get(address, (float("-inf"), False))
        if self.now() >= at + self.interval:
            url = f"http://{address}:{origin.get('port')}{self.path}"
            well = "port" not in origin or self._answers(url)  # a person's are always well
            self._found[address] = (self.now(), well)
        reason = "No failures" if well else "HTTP timeout occurred"
        return {"healthy": well, "failure_reason": reason, "rtt": "1ms", "response_code": 200}

    def forget(self) -> None:
        """Let the monitors look anew."""
        self._found.clear()

    def _answers(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                return 200 <= int(answer.status) < 300
        except OSError:
            return False

    def _stamp(self, pool: str) -> None:
        self.pools[pool]["modified_on"] = self._now()

    def _now(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat().replace("+00:00", "Z")
