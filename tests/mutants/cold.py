"""Runs unit tests in a process that imports a mutant in place of its module: ``python -m tests.mutants.cold``."""

import importlib.abc
import importlib.machinery
import importlib.util
import pathlib
import sys
import types
from collections.abc import Sequence

import pytest

ROOT = pathlib.Path(__file__).parents[2]


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from other source than its file's."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> types.CodeType:
        """Compile the other source."""
        return compile(self._source, self.get_filename(fullname), "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Knows one module."""

    def __init__(self, path: str, source: bytes) -> None:
        self._name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self._path, self._source = str(ROOT / path), source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return that module's."""
        del path, target
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=_Loader(fullname, self._path, self._source)
        )


def main(arguments: list[str]) -> int:
    """Take the module's path and pytest's arguments; its source comes on the standard input."""
    path, *options = arguments
    sys.meta_path.insert(0, _Finder(path, sys.stdin.buffer.read()))
    return int(pytest.main(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
