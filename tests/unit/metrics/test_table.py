import gzip
import math
from pathlib import Path

import pytest

from foreshadow.domain.clock import MetricClock, MetricTime
from foreshadow.domain.errors import MetricsError, SpecError
from foreshadow.domain.series import Window
from foreshadow.metrics.table import TableSource
from foreshadow.testing.metrics import DATA, SourceConformance

WINDOW = Window(MetricTime(0), MetricTime(10800), 3600.0)
ROWS = """ts,resource,rate,latency
1970-01-01T01:00:00Z,shop,10,0.1
1970-01-01 02:00:00,shop,,0.2
1970-01-01T04:00:00+01:00,shop,30,0.3
3600,other,5,1
"""


def source(path: Path) -> TableSource:
    return TableSource({"path": str(path)}, MetricClock(), None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "history.csv"
    path.write_text(ROWS)
    return path


def test_it_answers_for_many_resources_with_any_way_of_writing_the_time(table: Path) -> None:
    found = source(table).fetch("rate", ["shop", "other", "absent"], WINDOW)
    assert set(found) == {"shop", "other"}
    assert found["shop"].values[0] == 10.0
    assert math.isnan(found["shop"].values[1])
    assert found["shop"].values[2] == 30.0
    assert found["other"].last() == (3600.0, 5.0)


def test_gzip_and_parquet_hold_the_same(table: Path, tmp_path: Path) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    packed = tmp_path / "history.csv.gz"
    packed.write_bytes(gzip.compress(ROWS.encode()))
    columnar = tmp_path / "history.parquet"
    columns = {"ts": [3600.0, 10800.0], "resource": ["shop", "shop"], "rate": [10.0, 30.0]}
    parquet.write_table(arrow.table(columns), columnar)
    plain = source(table).fetch("rate", ["shop"], WINDOW)["shop"]
    assert source(packed).fetch("rate", ["shop"], WINDOW)["shop"].last() == plain.last()
    assert source(columnar).fetch("rate", ["shop"], WINDOW)["shop"].last() == plain.last()


def test_what_comes_after_the_window_stays_unseen(table: Path) -> None:
    early = Window(MetricTime(0), MetricTime(7200), 3600.0)
    assert source(table).fetch("rate", ["shop"], early)["shop"].last() == (3600.0, 10.0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "no such file"),
        ("a.txt", "x", "kind is not known"),
        ("a.csv", "ts,resource,cpu\n1,shop,2\n", "there is no column rate"),
        ("a.csv", "ts,resource,rate\nnoon,shop,2\n", "'noon' is not a time"),
        ("a.csv", "ts,resource,rate\n1700000000000,shop,2\n", "is in milliseconds"),
        ("a.csv", "ts,resource,rate\n3600,shop,many\n", "'many' is not a number"),
        ("a.csv.gz", "not gzip", "it cannot be read"),
        ("a.parquet", "not parquet", "it cannot be read"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(MetricsError) as caught:
        source(path).fetch("rate", ["shop"], WINDOW)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(SpecError, match="did you mean path"):
        TableSource({"pathh": "x", "path": "y"}, MetricClock(), None)


class TestConformance(SourceConformance):
    class World:
        def __init__(self, path: Path) -> None:
            self._path = path
            rows = [f"{at},{name},{v}" for name, cells in DATA.items() for at, v in cells.items()]
            path.write_text("\n".join(["ts,resource,rate", *rows]))

        def source(self) -> TableSource:
            return source(self._path)

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return self.World(tmp_path / "data.csv")
