"""A validation error as one line for a person: where, what, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError

from foreshadow.domain.errors import SpecError
from foreshadow.domain.secrets import secret_in


def first_problem(error: ValidationError, where: str, model: type[BaseModel]) -> SpecError:
    """Return the first problem of a validation as a :class:`SpecError`.

    :param where: the thing that was validated, as ``resource checkout``.
    :param model: its model, for suggesting the key that was probably meant.
    """
    details = error.errors(include_url=False)
    # A misspelt key also makes the right one missing: what was written comes first.
    problem = next((each for each in details if each["type"] == "extra_forbidden"), details[0])
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in problem["loc"]
        if not (isinstance(part, str) and part.startswith("["))  # pydantic's or our own label
    ).lstrip(".")
    at = f"{where}, {place}" if place else where
    more = len(details) - 1
    also = f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
    match problem["type"]:
        case "extra_forbidden":
            return SpecError(f"unknown key{also}", where=at, remedy=_meant(problem["loc"], model))
        case "missing":
            return SpecError(f"is required{also}", where=at, remedy="add it")
        case "value_error":
            said = problem["msg"].removeprefix("Value error, ")
            # The last colon: one before it may stand in the value that is quoted.
            what, colon, remedy = said.rpartition(": ")
            return SpecError(f"{what if colon else said}{also}", where=at, remedy=colon and remedy)
        case "string_pattern_mismatch":
            got = _shown(problem["input"], place)
            what, remedy = _wanted(problem.get("ctx", {}).get("pattern", ""))
            return SpecError(f"{got} is not {what}{also}", where=at, remedy=remedy)
        case "model_type" | "dict_type" | "tuple_type" as kind:
            what = "a list" if kind == "tuple_type" else "a mapping of keys"
            got = _shown(problem["input"], place)
            return SpecError(f"must be {what}, got {got}{also}", where=at, remedy=f"write {what}")
        case "too_short":
            return SpecError(f"is empty{also}", where=at, remedy="give at least one")
        case _:
            said = problem["msg"][0].lower() + problem["msg"][1:]
            got = _shown(problem["input"], place)
            remedy = _nearest(problem["input"], problem.get("ctx", {}).get("expected"))
            return SpecError(f"{said}, got {got}{also}", where=at, remedy=remedy)


def not_a_mapping(what: str, raw: object) -> SpecError:
    """Return the error for an entry that is not a mapping at all."""
    return SpecError(
        f"a {what} must be a mapping of keys, got {_shown(raw, what)}",
        where=what,
        remedy=f"write it as - name: … under foreshadow_{what}s",
    )


def _shown(value: object, place: str) -> str:
    """Return a value for a person: short, and never one that may be, or hold, a secret."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if secret_in({place: value}, "") is not None:
        return "a value that is not shown"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _wanted(pattern: str) -> tuple[str, str]:
    """Return what a text has to be, and how to make it so."""
    if pattern == "^/":
        return "an absolute path", "begin it with /"
    if pattern == "^https?://":
        return "a URL", "begin it with http:// or https://"
    if pattern.startswith("^[A-Za-z_]"):
        return "a name of a variable", "use letters, digits and '_', a letter or '_' first"
    remedy = "use letters, digits, '.', '_' and '-', a letter or digit first, at most 63"
    return "a name", remedy


def _nearest(value: object, expected: object) -> str:
    """Return what was probably meant among the values that pydantic lists, if any is near."""
    values = re.findall(r"'([^']+)'", str(expected or ""))
    near = difflib.get_close_matches(str(value), values, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _meant(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return what to do about an unknown key: the near one, or the list of known ones."""
    for part in loc[:-1]:
        if isinstance(part, int) or part not in model.model_fields:
            continue
        inner = _model_in(model.model_fields[part].annotation)
        if inner is None:
            return "remove it"
        model = inner
    known = sorted(field.alias or name for name, field in model.model_fields.items())
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a)) is not None), None)
