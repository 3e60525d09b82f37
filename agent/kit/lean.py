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
_OFTEN = 20_000
"""New objects between two rounds of the collector: starting fifty containers at once makes a few hundred thousand."""


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
    found = importlib.util.find_spec(name)
    if name in sys.modules or found is None or found.submodule_search_locations is None:
        yield
        return
    hollow = types.ModuleType(name)
    hollow.__path__ = list(found.submodule_search_locations)
    hollow.__spec__ = found
    sys.modules[name] = hollow
    try:
        yield
    finally:
        del sys.modules[name]


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
    gc.set_threshold(_OFTEN)
