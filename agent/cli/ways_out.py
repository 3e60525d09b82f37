"""The command that is typed after an error, where the error itself names none."""

import re
from collections.abc import Callable

from agent import errors

_BUILD = " build"
_IMAGES = "trimtab image"
_COMMAND = re.compile(r"(?<![\w/.-])trimtab (?=--|[a-z])")


def hint(error: errors.TrimtabError, command: str, completed: Callable[[str], str] = str) -> str:
    """Return an error's hint with a command to type.

    ``command``: what was typed, as ``trimtab image rm``. ``completed`` returns a text with the flags that lead to the
    instance added to its commands.
    """
    if _COMMAND.search(error.hint) or _COMMAND.search(error.message):
        return completed(error.hint)
    return "; ".join(filter(None, (completed(error.hint), _next_command(error, command, completed))))


def _next_command(error: errors.TrimtabError, command: str, completed: Callable[[str], str]) -> str:
    from agent.kit import locks

    match error:
        case locks.LockedElsewhere():
            return completed("trimtab status says what works here")
        case errors.NotFound() if command.startswith(_IMAGES):
            return completed("trimtab image ls lists the images")
        case errors.NotFound() if command.endswith(_BUILD):
            return f"{command} --help says what can be typed"
        case errors.NotFound() | errors.Conflict() | errors.InUse():
            return completed("trimtab status says what there is and how it is")
        case errors.Unavailable():
            return completed("trimtab doctor says what this host lacks")
        case _:
            return f"{command} --help says what can be typed"
