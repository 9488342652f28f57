import pytest

from foreshadow.report import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0, "0 ms"), (0.0213, "21.3 ms"), (4.56, "4.56 s"), (59.99, "60 s"),
     (90, "1 min 30 s"), (4320, "1 h 12 min"), (90061, "1 d 1 h"), (3600, "1 h")],
)  # fmt: skip
def test_spans(seconds: float | None, text: str) -> None:
    assert words.span(seconds) == text.replace(" ", "\u00a0")


def test_counts_and_nouns() -> None:
    assert words.plural(1, "switchover") == "1 switchover"
    assert words.plural(12345, "request") == "12\u202f345 requests"
    assert words.percent(0.384) == "38\u00a0%"
    assert words.instant(0.0) == "1970-01-01 00:00:00"
    assert words.instant(None) == "–"
