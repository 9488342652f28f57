"""Reading what a person writes about a director, beside ``kind`` and ``targets``."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from foreshadow.domain.problems import first_problem
from foreshadow.domain.spec import DirectorSpec

Options = TypeVar("Options", bound=BaseModel)


def place(spec: DirectorSpec, resource: str) -> str:
    """Return where the options of a director stand, for errors."""
    return f"resource {resource}, director {spec.kind}"


def parsed(model: type[Options], spec: DirectorSpec, resource: str) -> Options:
    """Return the options of a director.

    :raises SpecError: in one line, with the key and the way out.
    """
    try:
        return model.model_validate(spec.options())
    except ValidationError as error:
        raise first_problem(error, place(spec, resource), model) from None
