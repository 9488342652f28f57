import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.domain.errors import SpecError
from foreshadow.domain.spec import WeightsSpec
from foreshadow.placement.weights import TERMS, normalised, resolve

WRITTEN = WeightsSpec()
positive = st.fixed_dictionaries({term: st.floats(0.001, 100) for term in TERMS})


@given(positive)
def test_weights_sum_to_one(weights: dict[str, float]) -> None:
    assert sum(normalised(weights).values()) == pytest.approx(1.0)


def test_each_layer_hides_the_ones_below_it() -> None:
    learned, pinned, asked = (
        {term: 1.0 if term == top else 0.0 for term in TERMS} for top in TERMS
    )
    assert resolve(WRITTEN) == pytest.approx(WRITTEN.model_dump())
    assert resolve(WRITTEN, learned=learned) == learned
    assert resolve(WRITTEN, learned=learned, pinned=pinned) == pinned
    assert resolve(WRITTEN, learned=learned, pinned=pinned, asked=asked) == asked


def test_a_layer_that_names_one_term_keeps_the_others() -> None:
    got = resolve(WRITTEN, asked={"availability": 1.0})
    assert got == pytest.approx(
        {"load_similarity": 0.2, "network_proximity": 0.4 / 3, "availability": 2 / 3}
    )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"luck": 1.0}, "unknown term luck"),
        ({"availability": -1.0}, "cannot weigh -1"),
        ({"availability": float("nan")}, "cannot weigh nan"),
        (dict.fromkeys(TERMS, 0.0), "no term weighs anything"),
    ],
)
def test_nonsense_is_refused_in_words(asked: dict[str, float], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        resolve(WRITTEN, asked=asked)
