"""A long-lived process kept small: what it need not load, and what the garbage collector need not look at again."""

import contextlib
import ctypes
import gc
import importlib.util
import sys
import types
from collections.abc import Iterator

_MALLOC = ((-8, 1), (-3, 128 * 1024), (-1, 128 * 1024))
"""``M_ARENA_MAX``, ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD`` (mallopt(3)): the last two in bytes, glibc's own first
values, which it raises by and by unless they are said."""
_YOUNG = (10_000, 5)
"""New objects between two rounds of the collector, and rounds between two that look at what those kept as well: none of
them, in whatever thread it falls, keeps the others up for long (45 ms with a thousand containers, once 95)."""


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Import packages as if one that they use only where it is there were not (``rich`` is 5 MB of an agent)."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # the import system's own sign for "not there"
    try:
        yield
    finally:
        del sys.modules[name]


@contextlib.contextmanager
def bare(name: str) -> Iterator[None]:
    """Import single modules of a package whose own ``__init__`` imports all of them: it is left out meanwhile.

    pyroute2's is 7 MB of an agent that needs 1 of it. Whoever imports the package itself afterwards gets it whole.
    """
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.submodule_search_locations is None:
        yield
        return
    hollow = types.ModuleType(name)
    hollow.__path__ = list(spec.submodule_search_locations)
    hollow.__spec__ = spec
    sys.modules[name] = hollow
    try:
        yield
    finally:
        del sys.modules[name]


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from looking, over and over, at what is only being built up: two thirds of the time.

    For work of a command that ends within seconds and makes no cycles to speak of. What was built up counts as old
    afterwards: it is not looked at there and then. A process that has settled goes on collecting: the next round would
    look at all of it at once, in whatever thread comes first, and hold up the loop.
    """
    if not gc.isenabled() or gc.get_freeze_count() > 0:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def frugal() -> None:
    """Let the C library give back what is freed, and not keep a heap for each thread; for who has just begun.

    By itself glibc makes a heap for each thread that asks while another one does, and keeps what a burst of work has
    needed. It is ten megabytes of an agent. Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC:
            mallopt(option, value)


def settle() -> None:
    """Take all that is there now as there to stay: modules and classes are most of what a round would look at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_YOUNG)
