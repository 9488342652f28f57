import json
from pathlib import Path

import pytest

from foreshadow.domain.errors import SpecError
from foreshadow.report.clients import read_clients

GOOD = {
    "resource": "checkout",
    "step": 300,
    "runs": {
        "foreshadow": {
            "intervals": [
                {"at": "2017-08-14T06:00:00Z", "requests": 10, "failed": 0, "p50": 0.1, "p99": 0.2},
                {"at": 1502690700, "requests": 5, "failed": 5, "p50": None, "p99": None},
            ]
        }
    },
}


def test_reads_what_a_load_generator_wrote(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    path.write_text(json.dumps(GOOD))
    run = read_clients(path).runs["foreshadow"]
    assert (run.requests, run.failed, run.worst_p99) == (15, 5, 0.2)
    assert run.intervals[0].at == 1502690400.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "clients.json"),
        (json.dumps({**GOOD, "step": 0}), "step"),
        (json.dumps({**GOOD, "color": "red"}), "unknown key"),
        (json.dumps({**GOOD, "runs": {"a": {"intervals": [{"at": "soon", "requests": 1}]}}}),
         "not a time"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "clients.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=says) as caught:
        read_clients(path)
    assert "\n" not in str(caught.value)
