"""The keys of a source in the spec, validated by the driver that owns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from foreshadow.domain.problems import first_problem


class Options(BaseModel):
    """Base of the options of a source: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Options)


def parse(model: type[Model], kind: str, raw: Mapping[str, Any]) -> Model:
    """Return the options of a source.

    :raises SpecError: in one line, with the key and the way out.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise first_problem(error, f"metrics source {kind}", model) from None
