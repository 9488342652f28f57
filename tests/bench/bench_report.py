"""The report: how long a page takes, how large it is, and that it needs nothing else."""

from __future__ import annotations

import re
import time

from foreshadow.report.digest import digest
from foreshadow.report.page import render
from tests.bench.table import Row, report
from tests.unit.report import samples

MANY = 20


def rows() -> list[Row]:
    """Measure the pages of one resource and of many, all with every plot and table."""
    one = samples.facts()
    many = samples.facts(
        resources=tuple(
            samples.resource(spec=samples.spec(f"resource-{number}")) for number in range(MANY)
        )
    )
    render(one)  # imports and fonts are not what is measured
    start = time.process_time()
    small = render(one)
    first = time.process_time() - start
    start = time.process_time()
    large = render(many)
    second = time.process_time() - start
    start = time.process_time()
    digest(many)
    third = time.process_time() - start
    outside = len(re.findall(r"<script|https?://|url\((?!#)", large))
    return [
        Row("page of one resource, processor time", first, "s", target=2.0, holds=first <= 2.0),
        Row(f"page of {MANY} resources, processor time", second, "s", target=20.0,
            holds=second <= 20.0),
        Row(f"finding {MANY} resources unchanged, processor time", third, "s", target=0.5,
            holds=third <= 0.5),
        Row("page of one resource", len(small.encode()) / 1024, "KiB", target=200.0,
            holds=len(small.encode()) <= 200 * 1024),
        Row(f"page of {MANY} resources", len(large.encode()) / 1024, "KiB"),
        Row("scripts and references to the outside", outside, "count", target=0.0,
            holds=outside == 0),
    ]  # fmt: skip


if __name__ == "__main__":
    report("report", rows())
