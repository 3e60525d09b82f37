"""``--watch``: what is asked again and again, of which only changes are printed, until somebody presses Ctrl-C."""

import itertools
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from agent.cli import terminal

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

INTERVAL = 1.0
"""Seconds between two questions."""


def answers(ask: Callable[[], Value]) -> Iterator[Value]:
    """Yield one answer after the other, for ever."""
    while True:
        yield ask()
        time.sleep(INTERVAL)


def changes(before: Mapping[Key, Value], after: Mapping[Key, Value]) -> tuple[list[Key], list[Key]]:
    """Return which items are new or others than before, in their order, and which have gone."""
    changed = [key for key, value in after.items() if key not in before or before[key] != value]
    return changed, [key for key in before if key not in after]


def wider(least: Sequence[int], rows: Sequence[tuple[str, ...]]) -> list[int]:
    """Return the widths of columns, never less than they were: what follows stays below what was printed."""
    widths = terminal.column_widths(rows) if rows else list(least)
    return [max(pair) for pair in itertools.zip_longest(widths, least[: len(widths)], fillvalue=0)]
