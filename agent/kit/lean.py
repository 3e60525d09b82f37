"""A long-lived process kept small: what it need not load, and what the garbage collector need not look at again."""

import contextlib
import gc
import importlib.util
import sys
import types
from collections.abc import Iterator

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


def settle() -> None:
    """Take all that is there now as there to stay: modules and classes are most of what a round would look at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OFTEN)
