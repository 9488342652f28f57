"""What the clients of a soak saw, in numbers that can be sent from one process to another."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

MOST_ERRORS = 20


@dataclass
class Tally:
    """Counts of one load.

    :ivar ok: by kind of request, those whose every byte was right.
    :ivar failed: by kind, those without a good answer; ``truncated``: whose answer ended early.
    :ivar wrong: by kind, whose answer was whole and not what it had to be.
    :ivar frames: websocket frames that came back, each once and in order.
    :ivar again: frames that a go-away overtook; they were sent on the next connection.
    :ivar away: websockets that were closed with 1001 and came back.
    :ivar broken: websockets that ended in another way.
    :ivar latencies: of quick requests, by tenths of milliseconds.
    :ivar errors: the first failures, in words.
    """

    ok: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    truncated: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    again: int = 0
    away: int = 0
    broken: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Return all HTTP requests that have ended, websockets not among them."""
        return sum(map(Counter.total, (self.ok, self.failed, self.truncated, self.wrong)))

    @property
    def lost(self) -> int:
        """Return whatever should not have happened."""
        return self.failed.total() + self.truncated.total() + self.wrong.total() + self.broken

    def percentile(self, share: float) -> float:
        """Return the milliseconds that this share of the quick requests stayed below."""
        wanted = share * self.latencies.total()
        for tenths, count in sorted(self.latencies.items()):
            wanted -= count
            if wanted <= 0:
                return tenths / 10
        return 0.0

    def note(self, text: str) -> None:
        """Remember a failure, if it is one of the first."""
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(text)

    def dumped(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(vars(self))

    @classmethod
    def loaded(cls, line: str) -> Self:
        """Return what :meth:`dumped` gave."""
        raw: dict[str, Any] = json.loads(line)
        for name in ("ok", "failed", "truncated", "wrong"):
            raw[name] = Counter(raw[name])
        raw["latencies"] = Counter({int(key): count for key, count in raw["latencies"].items()})
        return cls(**raw)
