"""What became of a switchover, measured afterwards and held against what its decision predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foreshadow.domain.clock import MetricTime, WallTime, isoformat


@dataclass(frozen=True, slots=True)
class Observed:
    """What the new primary showed over a window after the switchover.

    Utilizations are ratios, latencies seconds; what could not be measured is ``None``.

    :ivar start: metric time at which the switchover had ended; the window is ``(start, end]``.
    :ivar predicted_source: peak utilization that the decision predicted on the source.
    :ivar predicted_destination: peak utilization that it expected on the destination.
    :ivar utilization: the peak that was observed on the destination.
    :ivar source_utilization: the peak that the same demand would have made on the source, from the
        decision on.
    :ivar breach: whether the source would have gone above ``threshold``.
    :ivar breach_at: when it would have, in metric time.
    :ivar latency: median of the latency metric on the destination.
    :ivar baseline_latency: what was usual before, as the decision had it.
    :ivar note: one sentence when something could not be measured, and why.
    """

    switchover_id: str
    resource: str
    source: str
    destination: str
    start: MetricTime
    end: MetricTime
    measured_at: WallTime
    predicted_source: float | None = None
    predicted_destination: float | None = None
    utilization: float | None = None
    source_utilization: float | None = None
    threshold: float | None = None
    breach: bool | None = None
    breach_at: MetricTime | None = None
    latency: float | None = None
    baseline_latency: float | None = None
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the outcome as JSON types, times as ISO 8601: what the module gives."""
        return {
            "switchover_id": self.switchover_id,
            "resource": self.resource,
            "source": self.source,
            "destination": self.destination,
            "start": isoformat(self.start),
            "end": isoformat(self.end),
            "measured_at": isoformat(self.measured_at),
            "predicted_source": self.predicted_source,
            "predicted_destination": self.predicted_destination,
            "utilization": self.utilization,
            "source_utilization": self.source_utilization,
            "threshold": self.threshold,
            "breach": self.breach,
            "breach_at": None if self.breach_at is None else isoformat(self.breach_at),
            "latency": self.latency,
            "baseline_latency": self.baseline_latency,
            "note": self.note,
        }
