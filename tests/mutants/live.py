"""Puts a mutant into modules that are imported already, so that a warm process can be forked for each.

Functions get the changed code, so that whoever holds one holds the changed one. What is at a module's or a class's
level has been evaluated already: for that, a new process imports the changed module (``cold``).
"""

import functools
import gc
import pathlib
import types
from collections.abc import Iterator

from tests.mutants import mutations

_Place = tuple[str, int]
"""A function's qualified name and its first line."""


class Functions:
    """The functions of the imported modules, by file."""

    def __init__(self, root: pathlib.Path) -> None:
        """Look for them once; what is imported later is not among them."""
        self._by_file: dict[str, list[types.FunctionType]] = {}
        prefix = f"{root}/"
        for function in gc.get_objects():
            if isinstance(function, types.FunctionType) and function.__code__.co_filename.startswith(prefix):
                path = function.__code__.co_filename.removeprefix(prefix)
                self._by_file.setdefault(path, []).append(function)

    def put(self, mutant: mutations.Mutant, original: bytes) -> bool:
        """Change the code of the functions that a mutant changes; ``False`` where none is alive."""
        functions = self._by_file.get(mutant.path, [])
        if not mutant.scope or not functions:
            return False
        filename = functions[0].__code__.co_filename
        before = _codes_of(original, filename)
        after = dict(_codes(compile(mutant.source(original), filename, "exec", dont_inherit=True)))
        is_changed = False
        for function in functions:
            place = function.__code__.co_qualname, function.__code__.co_firstlineno
            code = after.get(place)
            if code is None or code == before.get(place):
                continue
            if code.co_freevars != function.__code__.co_freevars:
                return False
            function.__code__ = code
            is_changed = True
        return is_changed


@functools.lru_cache(maxsize=4)
def _codes_of(source: bytes, filename: str) -> dict[_Place, types.CodeType]:
    return dict(_codes(compile(source, filename, "exec", dont_inherit=True)))


def _codes(code: types.CodeType) -> Iterator[tuple[_Place, types.CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield (constant.co_qualname, constant.co_firstlineno), constant
            yield from _codes(constant)
