"""A later release has one more field in a model: over state that was written before, nothing is planned or lost."""

import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys
import typing
from typing import Any

import pytest

from agent.kit import canonical
from tests import instances
from tests.compat import sample_state

FIRST = pathlib.Path(__file__).with_name("format-1.json")
"""The fields of all models that are written, as the first format has them."""


def _rounds(folder: pathlib.Path, *words: str) -> dict[str, list[str]]:
    """Return what is not as it was, by the model that has another field."""
    command = [sys.executable, "-m", "tests.compat.added_rounds", folder, *words]
    completed = subprocess.run(command, cwd=instances.REPOSITORY, capture_output=True, text=True, check=True)
    problems: dict[str, list[str]] = json.loads(completed.stdout)
    return problems


def test_plan__each_model_in_turn_has_another_field__stays_empty(tmp_path: pathlib.Path) -> None:
    problems = _rounds(tmp_path, "declared")
    assert {model: lines for model, lines in problems.items() if lines} == {}
    assert len(problems) == len(sample_state.models()) + 1


def test_plan__the_field_does_not_say_what_its_absence_means__all_is_replaced(tmp_path: pathlib.Path) -> None:
    """The other way round: the rounds do see what a field that is part of a hash brings about."""
    model = "agent.model.image:PullSource"
    problems = _rounds(tmp_path, "undeclared", model)[model]
    assert any("EnsureImage Image/app" in problem for problem in problems)
    assert any("CreateContainer Container/web" in problem for problem in problems)


def _kind(module: str, model: str) -> Any:
    """Return the dataclass by whose fields a model is written."""
    kind = getattr(importlib.import_module(module), model)
    return getattr(kind, "WRITTEN_AS", kind)


def _fields(module: str, model: str) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(_kind(module, model))}


@pytest.mark.parametrize(("module", "model"), sample_state.models())
def test_model__a_field_that_is_not_of_the_first_format__says_what_its_absence_means(module: str, model: str) -> None:
    first = json.loads(FIRST.read_text()).get(f"{module}:{model}", [])
    later = {name: field for name, field in _fields(module, model).items() if name not in first}
    missing = [name for name, field in later.items() if not canonical.is_declared(field)]
    assert not missing or not first, f"see ops/docs/state.md, “Adding a field”: {missing}"


@pytest.mark.parametrize(("model", "names"), json.loads(FIRST.read_text()).items())
def test_model__a_field_of_the_first_format__is_still_read(model: str, names: list[str]) -> None:
    module, _, name = model.partition(":")
    kind = _kind(module, name)
    vanished = set(names) - typing.get_type_hints(kind).keys() - set(getattr(kind, "RETIRED_FIELDS", ()))
    assert vanished == set(), "see ops/docs/state.md, “A field that goes”"
