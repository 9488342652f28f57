"""The real Prophet behind our coefficients."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from foreshadow.forecast import prophet
from foreshadow.forecast.structure import Structure
from tests.unit.forecast.days import history, rhythm


@pytest.fixture(scope="module")
def fitted() -> tuple[Structure, object]:
    """The structure of three weeks, and the Prophet model that it came from."""
    kept = []
    original = prophet._fitted

    def keep(*args: object) -> object:
        kept.append(original(*args))  # type: ignore[arg-type]
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prophet, "_fitted", keep)
        structure = prophet.fit(history(rhythm(21)))
    return structure, kept[0]


def test_numpy_alone_predicts_what_prophet_predicts(fitted: tuple[Structure, object]) -> None:
    import pandas as pd

    structure, model = fitted
    times = structure.start + np.linspace(-0.1, 1.3, 300) * structure.span
    frame = pd.DataFrame({"ds": pd.to_datetime(times, unit="s")})
    said = model.predict(frame)["yhat"].to_numpy()  # type: ignore[attr-defined]
    theirs = structure.offset + structure.scale * said
    assert np.abs(structure.at(times) - theirs).max() < 1e-6


def test_coefficients_survive_the_way_through_json(fitted: tuple[Structure, object]) -> None:
    structure = fitted[0]
    text = structure.dumps()
    assert Structure.loads(text) == structure
    assert len(text) < 5000


def test_it_learns_that_weekends_differ(fitted: tuple[Structure, object]) -> None:
    structure = fitted[0]
    at_noon = structure.start + 86400.0 * np.arange(21, dtype=np.float64) + 12 * 3600.0
    weekday = structure.at(at_noon[:4]).mean()
    weekend = structure.at(at_noon[4:6]).mean()
    assert weekday > 1.6 * weekend


def test_equal_data_gives_equal_coefficients() -> None:
    data = history(rhythm(5))
    assert prophet.fit(data) == prophet.fit(data)


def test_no_file_is_left_and_what_a_killed_process_left_is_swept() -> None:
    shared = Path(tempfile.gettempdir())
    left = Path(tempfile.mkdtemp(prefix="foreshadow-stan-4194305-"))  # above the highest pid
    (left / "output.csv").write_text("x")
    before = set(shared.glob("*prophet*"))
    prophet.fit(history(rhythm(4)))
    assert not left.exists()
    assert not list(shared.glob(f"foreshadow-stan-{os.getpid()}-*"))
    assert set(shared.glob("*prophet*")) <= before


def test_one_holiday_does_not_bend_its_weekday() -> None:
    values = rhythm(21, noise=0.005)
    holiday = values.copy()
    holiday[7 * 24 : 8 * 24] *= 0.3
    times = history(values).times[14 * 24 : 15 * 24] - 1800.0
    plain, bent = (prophet.fit(history(v)).at(times) for v in (values, holiday))
    assert np.abs(plain - bent).mean() < 0.15 * np.abs(values - holiday)[7 * 24 : 8 * 24].mean()


def test_it_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    prophet.fit(history(rhythm(4)))
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
