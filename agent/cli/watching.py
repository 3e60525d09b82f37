"""``--watch``: what is asked again and again, of which only changes are printed, until somebody presses Ctrl-C."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TypeVar

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
