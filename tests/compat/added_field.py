"""A field that a later release adds: the source of one model is changed while it is imported, and nothing else is."""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

NAME = "added_by_a_later_release"
_FIELD = "__import__('dataclasses').field(default=None"
_DECLARED = f"{_FIELD}, metadata=__import__('agent.kit.canonical').kit.canonical.absent(None))"
_WHOLE = {"Supervision": "ContainerConfig"}
"""Models that are a part of another one, field by field."""
_UNDECLARED = f"{_FIELD})"


class Finder(importlib.abc.MetaPathFinder):
    """Imports the agent with one more field in one model."""

    def __init__(self, module: str, model: str, *, declared: bool) -> None:
        """``declared``: the field says what its absence means. What is only a part of another model has its fields."""
        self._module = module
        self._model = model
        self._field = _DECLARED if declared else _UNDECLARED

    def find_spec(
        self, name: str, path: Any, _: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the model's module only; all others are found as usual."""
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        return importlib.util.spec_from_loader(name, _Loader(name, spec.origin, self._model, self._field))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, model: str, field: str) -> None:
        super().__init__(name, path)
        self._model = model
        self._field = field

    def get_code(self, _: str) -> types.CodeType:
        tree = ast.parse(self.get_data(self.path))
        for model in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            if model.name in {self._model, _WHOLE.get(self._model)}:
                last = max(number for number, node in enumerate(model.body) if isinstance(node, ast.AnnAssign))
                model.body[last + 1 : last + 1] = ast.parse(f"{NAME}: str | None = {self._field}").body
        code: types.CodeType = compile(ast.fix_missing_locations(tree), self.path, "exec")
        return code


def forget() -> None:
    """Import the whole agent anew."""
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> Iterator[str]:
    yield from [
        name for name in sys.modules if name.partition(".")[0] == "agent" or name == "tests.compat.sample_state"
    ]
