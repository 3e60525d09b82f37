"""Modules of the standard library that are loaded once something is taken from them, and not when they are imported.

Much of what is imported is used by few commands: click imports ``inspect`` for prompts that nobody is asked, and what
reads a log beside a running agent needs no event loop. Loading them all takes as long as the agent's answer.

Not by ``importlib.util.LazyLoader``: on Python 3.11, importing a module for the second time loads it there, and two
threads may load it at once.
"""

import importlib.util
import sys
import threading
import types
from collections.abc import Iterable
from typing import Any

MODULES = (
    "asyncio",
    "ctypes",
    "difflib",
    "fractions",
    "hashlib",
    "inspect",
    "ipaddress",
    "shlex",
    "shutil",
    "sqlite3",
    "subprocess",
    "tempfile",
    "traceback",
)
"""Those that are worth it: ``python -X importtime -m agent status`` tells."""
_LOADING = threading.RLock()
_at_work: list[types.ModuleType] = []
"""What the thread that has the lock is loading."""


class Deferred(types.ModuleType):
    """A module that is imported and not loaded. Python asks ``__getattr__`` for what it does not have yet."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any type
        """Load the module, and return what is taken from it. Raises ``AttributeError``."""
        _load(self)
        if type(self) is not Deferred:
            return getattr(self, name)
        if name in vars(self):  # it is being loaded by this thread, and asks for something of its own
            return vars(self)[name]
        message = f"module {self.__name__!r} has no attribute {name!r} yet"
        raise AttributeError(message, name=name, obj=self)


def defer(names: Iterable[str] = MODULES) -> None:
    """Let modules be loaded when something is first taken from them; those that are loaded stay as they are."""
    for name in names:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None:
            continue
        module = importlib.util.module_from_spec(spec)
        vars(module).pop("__path__", None)  # asked for before a submodule is imported: the package is loaded first
        module.__class__ = Deferred
        sys.modules[name] = module


def load() -> None:
    """Load every module that waits: for what starts threads, which could wait for each other's imports."""
    for module in list(sys.modules.values()):
        if type(module) is Deferred:
            _load(module)


def _load(module: Deferred) -> None:
    with _LOADING:
        spec = module.__spec__
        if type(module) is not Deferred or module in _at_work or spec is None or spec.loader is None:
            return
        _at_work.append(module)
        try:
            if spec.submodule_search_locations is not None:
                module.__path__ = spec.submodule_search_locations
            spec.loader.exec_module(module)
            setattr(module, "__class__", types.ModuleType)  # noqa: B010 - it is one like any other from here on
        finally:
            _at_work.remove(module)
