"""Reading the options of one entry of the spec's ``state``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from foreshadow.domain.problems import first_problem

Options = TypeVar("Options", bound=BaseModel)


def read_options(kind: str, options: Mapping[str, Any], model: type[Options]) -> Options:
    """Return the options of a capture as its model has them.

    :raises SpecError: in one line, with the key and the way out.
    """
    try:
        return model.model_validate(options)
    except ValidationError as error:
        raise first_problem(error, f"state of kind {kind}", model) from None
