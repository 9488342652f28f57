"""The pytest plugin that runs the suite of directors on a driver that an option names.

pytest finds it by its entry point; where plugins are not loaded by themselves, ``-p
foreshadow.testing.plugin`` does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the suite must not be imported before its asserts can be rewritten
    from foreshadow.testing.directors import DirectorWorld

OPTION = "--foreshadow-director"

pytest.register_assert_rewrite("foreshadow.testing.directors")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("foreshadow").addoption(
        OPTION,
        metavar="MODULE:FACTORY",
        help="what makes the world in which the conformance suite tries a director "
        "(pytest --pyargs foreshadow.testing)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a name that leads nowhere before anything is collected."""
    if named := config.getoption(OPTION):
        factory(named)


@pytest.fixture(scope="session")
def foreshadow_director_world(request: pytest.FixtureRequest) -> Iterator[DirectorWorld]:
    """Give the world that the option names, until the end of the session."""
    named = request.config.getoption(OPTION)
    if not named:
        pytest.skip(f"no driver is named: give {OPTION}=MODULE:FACTORY")
    with factory(named)() as world:
        yield world


def factory(named: str) -> Callable[[], AbstractContextManager[DirectorWorld]]:
    """Return what ``module:factory`` names.

    :raises pytest.UsageError: in one line, when there is no such thing.
    """
    module, colon, attribute = named.partition(":")
    if not (module and colon and attribute):
        raise pytest.UsageError(f"{OPTION}={named} is not MODULE:FACTORY, as in shop.traffic:world")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"{OPTION}={named} cannot be loaded: {error}") from None
    if not callable(found):
        raise pytest.UsageError(f"{OPTION}={named} is no function that gives a world")
    made: Callable[[], AbstractContextManager[DirectorWorld]] = found
    return made
