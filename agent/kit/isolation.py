"""What a child process may know of ours: an environment of its own, and Python that loads nothing from where we stand.

Whoever types a command stands in some folder, with some variables set. Neither may choose what runs: a ``zstandard.py``
in that folder, ``PYTHONPATH``, ``LD_PRELOAD`` or ``GIT_DIR`` are not ours to pass on.
"""

import os
import sys
from collections.abc import Sequence

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCALE = {"LC_ALL": "C.UTF-8"}
"""Programs' messages are shown and never parsed; they are the same on every host all the same."""
USER = ("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "TMPDIR")
"""Who somebody is: for programs with a configuration of the user's own."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_INSTALLED = frozenset({"site-packages", "dist-packages", "lib-dynload"})
_START = "import sys; sys.path += sys.argv.pop(1).split({separator!r}); import {module} as module; module.main()"


def environment(*allowed: str) -> dict[str, str]:
    """Return a child's whole environment: PATH, the locale, and those of our variables that are ``allowed``.

    A name that ends with ``*`` allows all that begin so.
    """
    prefixes = tuple(name[:-1] for name in allowed if name.endswith("*"))
    names = [name for name in os.environ if name in allowed or (prefixes and name.startswith(prefixes))]
    return {"PATH": search_path(), **LOCALE, **{name: os.environ[name] for name in names}}


def search_path() -> str:
    """Return our PATH without what depends on the current folder; the system's own where nothing is left of it."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder.startswith("/")]
    return os.pathsep.join(folders) or SYSTEM_PATH


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main`` of a module of ours in another Python, with ``arguments`` in ``sys.argv``.

    Isolated mode (``-I``) knows no variables, no user's site and no current folder; what is imported from elsewhere
    comes after the standard library and the installed packages. The package itself may be anywhere, in a zip file too.
    """
    package = sys.modules[module.partition(".")[0]]
    home = os.path.dirname(os.path.abspath(package.__path__[0]))  # noqa: PTH100, PTH120 - a path of the import system
    elsewhere = [entry for entry in trusted(sys.path) if entry != home]
    start = _START.format(separator=os.pathsep, module=module)
    return [sys.executable, "-I", "-c", start, os.pathsep.join((*elsewhere, home)), *arguments]


def trusted(entries: Sequence[str]) -> list[str]:
    """Return the entries of an import path that do not depend on the current folder."""
    here = _current_folder()
    absolute = [entry for entry in entries if entry.startswith("/")]
    return [entry for entry in absolute if os.path.realpath(entry) != here or _is_installed(entry)]


def forget_current_folder() -> None:
    """Take the current folder off the import path: ``python -m`` and an empty part of PYTHONPATH have put it there."""
    sys.path[:] = trusted(sys.path)


def _current_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - compared with entries of the import path, which are text
    except FileNotFoundError:
        return None


def _is_installed(entry: str) -> bool:
    """Return whether a folder is one of Python's own, and somebody only happens to stand in it."""
    folder = os.path.normpath(entry)
    return os.path.basename(folder) in _INSTALLED or folder == os.path.dirname(os.__file__)  # noqa: PTH119, PTH120
