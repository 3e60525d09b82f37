"""What is changed in a module, and how a change reaches functions that are imported already."""

import pathlib
import sys
import textwrap
import types
from collections.abc import Iterator

import pytest

from tests.mutants import live, mutations

RULES = '''
"""A module's docstring."""

LIMIT = 3
KINDS = {"a": "one word", "b": ""}


class Rule:
    """A class with a property."""

    most = 5

    @property
    def is_open(self) -> bool:
        """A docstring."""
        return self.most > LIMIT and not self.closed

    def take(self, items: list[int], least: int = 0) -> int | None:
        """Count."""
        self.count = sum(item for item in items if item)
        if least == 1:
            raise ValueError("of a sentence")
        match items:
            case [first] if first:
                return min(first, least)
            case []:
                return Rule.made(first, last=least)
        items.clear()
        for item in items:
            continue
        return None
'''


def changes(source: str) -> set[tuple[str, str]]:
    """Return all changes of some source, as lines before and after."""
    original = textwrap.dedent(source).encode()
    return {mutant.change(original) for mutant in mutations.of_source("agent/rule.py", original)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 3", "LIMIT = (4)"),
        ("most = 5", "most = (6)"),
        ('KINDS = {"a": "one word", "b": ""}', 'KINDS = {"a": (\'\'), "b": ""}'),
        ('KINDS = {"a": "one word", "b": ""}', 'KINDS = {"a": "one word", "b": (\'XX\')}'),
        ("return self.most > LIMIT and not self.closed", "return (self.most > LIMIT or not self.closed)"),
        ("return self.most > LIMIT and not self.closed", "return (self.most > LIMIT)"),
        ("return self.most > LIMIT and not self.closed", "return (self.most >= LIMIT) and not self.closed"),
        ("return self.most > LIMIT and not self.closed", "return self.most > LIMIT and (self.closed)"),
        ("self.count = sum(item for item in items if item)", "pass"),
        ("self.count = sum(item for item in items if item)", "self.count = sum(item for item in items if (True))"),
        ("if least == 1:", "if (False):"),
        ('raise ValueError("of a sentence")', "pass"),
        ('raise ValueError("of a sentence")', "raise ValueError((''))"),
        ("case [first] if first:", "case [first] if (False):"),
        ("case []:", "case [] if False:"),
        ("return min(first, least)", "return (max(first, least))"),
        ("return min(first, least)", "return (None)"),
        ("return Rule.made(first, last=least)", "return (Rule.made(first))"),
        ("items.clear()", "pass"),
        ("continue", "break"),
    ],
)
def test_module__each_kind_of_change__is_among_its_mutants(before: str, after: str) -> None:
    assert (before, after) in changes(RULES)


def test_module__docstrings_annotations_and_decorators__are_left_alone() -> None:
    text = " ".join(before for before, _ in changes(RULES))
    assert "docstring" not in text
    assert "@property" not in text
    assert "| None" not in " ".join(after for _, after in changes(RULES) if "None" not in RULES)


def test_mutant__over_several_lines__keeps_the_numbers_of_the_lines_below() -> None:
    original = b"def f(a, b):\n    return (\n        a\n        and b\n    )\n\n\ndef g(a):\n    return not a\n"
    for mutant in mutations.of_source("agent/rule.py", original):
        assert mutant.source(original).count(b"\n") == original.count(b"\n")


def test_identity__its_function_has_only_moved__is_the_same() -> None:
    function = b"def f(a):\n    return a == 1\n"
    before = {mutant.identity for mutant in mutations.of_source("agent/rule.py", function)}
    moved = {mutant.identity for mutant in mutations.of_source("agent/rule.py", b"import os\n\n\n" + function)}
    changed = {mutant.identity for mutant in mutations.of_source("agent/rule.py", function.replace(b"1", b"2"))}
    assert before == moved
    assert before.isdisjoint(changed)


@pytest.fixture
def module(tmp_path: pathlib.Path) -> Iterator[tuple[types.ModuleType, bytes]]:
    """A module below a folder, imported, with its source."""
    source = textwrap.dedent("""
        import functools

        LIMIT = 3

        class Rule:
            most = 5

            @functools.cached_property
            def is_open(self):
                return self.most > LIMIT

        def order(items):
            return sorted(items, key=lambda item: -item)
    """).encode()
    path = tmp_path / "rule_of_a_test.py"
    path.write_bytes(source)
    imported = types.ModuleType("rule_of_a_test")
    sys.modules[imported.__name__] = imported
    exec(compile(source, str(path), "exec"), imported.__dict__)  # noqa: S102
    yield imported, source
    del sys.modules[imported.__name__]


def of_line(source: bytes, before: str, after: str) -> mutations.Mutant:
    """Return the mutant that makes one line another."""
    return next(
        mutant
        for mutant in mutations.of_source("rule_of_a_test.py", source)
        if mutant.change(source) == (before, after)
    )


def test_put__in_a_decorated_method_or_a_lambda__those_who_hold_it_run_the_change(
    module: tuple[types.ModuleType, bytes], tmp_path: pathlib.Path
) -> None:
    imported, source = module
    rule, functions = imported.Rule(), live.Functions(tmp_path)
    assert functions.put(of_line(source, "return self.most > LIMIT", "return (self.most <= LIMIT)"), source)
    assert rule.is_open is False
    before = "return sorted(items, key=lambda item: -item)"
    assert functions.put(of_line(source, before, "return sorted(items, key=lambda item: (item))"), source)
    assert imported.order([2, 1]) == [1, 2]


def test_put__what_has_been_evaluated_already__is_refused(
    module: tuple[types.ModuleType, bytes], tmp_path: pathlib.Path
) -> None:
    imported, source = module
    assert not live.Functions(tmp_path).put(of_line(source, "LIMIT = 3", "LIMIT = (4)"), source)
    assert imported.LIMIT == 3
