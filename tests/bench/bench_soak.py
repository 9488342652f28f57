"""A million requests over two hundred switchovers, with reloads of HAProxy in between.

``python -m tests.bench.bench_soak [--requests N] [--switchovers N] [--reloads N] [--minutes M]
[--steps 50,100]``. All kinds of request at once, as fast as the machine serves them: on kept and
on new connections, with two seconds of silence, uploads, streams, websockets. Every body is
compared byte by byte; a websocket may come back only after a close with 1001, and no frame is
lost. Through make: ``make bench-soak SOAK='--minutes 5 --switchovers 60'``.
"""

from __future__ import annotations

import argparse
from statistics import median

from tests.bench.table import Row, report
from tests.support.soak import Soaked, soak


def rows(soaked: Soaked, arguments: argparse.Namespace) -> list[Row]:
    """Return the figures, and what they should be."""
    tally = soaked.tally

    def reached(name: str, value: float, target: float) -> Row:
        return Row(name, value, "count", target, value >= target)

    def none_of(name: str, value: float) -> Row:
        return Row(name, value, "count", 0.0, value == 0)

    return [
        reached("requests", tally.requests, arguments.requests),
        reached("switchovers", soaked.moved, arguments.switchovers),
        reached("reloads of HAProxy", soaked.reloads, arguments.reloads),
        none_of("failed", tally.failed.total()),
        none_of("truncated", tally.truncated.total()),
        none_of("wrong bodies", tally.wrong.total()),
        none_of("websockets that ended without 1001", tally.broken),
        none_of("what did not converge", len(soaked.problems)),
        Row("switchovers that a reload turned back", soaked.turned_back, "count"),
        *(Row(f"requests: {kind}", count, "count") for kind, count in sorted(tally.ok.items())),
        Row("websocket frames, each once and in order", tally.frames, "count"),
        Row("websockets that came back after 1001", tally.away, "count"),
        Row("frames that a 1001 overtook, sent again", tally.again, "count"),
        Row("rate", soaked.rate, "1/s"),
        Row("seconds", soaked.seconds, "s"),
        Row("switch_ms, median", median(soaked.switch_ms or [0.0]), "ms"),
        Row("latency of quick requests, median", tally.percentile(0.5), "ms"),
        Row("latency of quick requests, p99", tally.percentile(0.99), "ms"),
    ]


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--switchovers", type=int, default=200)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--steps", default="50,100")
    arguments = parser.parse_args()
    steps = tuple(int(step) for step in arguments.steps.split(","))
    soaked = soak(arguments.requests, arguments.switchovers, arguments.reloads,
                  60 * arguments.minutes, steps)  # fmt: skip
    for line in (*soaked.problems, *soaked.tally.errors):
        print(line)
    report("soak", rows(soaked, arguments))


if __name__ == "__main__":
    main()
