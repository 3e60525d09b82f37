"""The format of written state: its number, the release that wrote it last, and the refusal of a newer one.

One number for everything that an instance writes; ``ops/docs/state.md`` says what each number means. State without a
number was written before there were any, and is of format 1.
"""

import json
import pathlib
import re

import agent
from agent import errors

FORMAT = 1
"""A release that writes what earlier ones would misread has a higher one; a field whose absence means something needs
none."""
_MOST = 1000
"""A number above that is a damage."""
STAMP = "instance.json"
"""The file of a root (and of a run directory) that says which release has written there last."""


class NewerState(errors.TrimtabError):
    """State that a newer release has written: nothing of it is guessed, and nothing is changed."""


def check(path: pathlib.Path, number: object) -> None:
    """Raise ``NewerState`` where a file's format number is above ``FORMAT``."""
    if isinstance(number, int) and FORMAT < number <= _MOST:
        raise newer(path, f"it has format {number}, and this release reads formats up to {FORMAT}")


def newer(path: pathlib.Path, detail: str) -> NewerState:
    """Return the refusal of a file of a root; ``detail`` says what in it is not known."""
    release = newest(path.parent)
    writer = "a newer trimtab" if release in {"", agent.__version__} else f"trimtab {release}"
    return NewerState(
        f"{path} is state of {writer}, this is trimtab {agent.__version__}: {detail}",
        hint=f"upgrade to {writer}, or give another --root; containers keep running meanwhile",
    )


def newest(root: pathlib.Path) -> str:
    """Return the newest release that has written to a root; empty where nothing says so."""
    try:
        release = json.loads((root / STAMP).read_bytes())["release"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return release if isinstance(release, str) else ""


def is_newer(path: pathlib.Path) -> bool:
    """Return whether a newer release has written to the root of a file: what is not known in there is no damage."""
    return _order(newest(path.parent)) > _order(agent.__version__)


def latest(release: str) -> str:
    """Return the later one of a release and this one."""
    return max(release, agent.__version__, key=_order)


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])
