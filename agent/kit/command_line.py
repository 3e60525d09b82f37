"""What stands on our command line, where every user of the host can read it (``/proc/PID/cmdline``)."""

import ctypes
import pathlib
import re
from collections.abc import Iterable

_LOGIN = re.compile(r"(?<=https://)[^/@\s]+@|(?<=http://)[^/@\s]+@")
"""User and password of a URL. A user of ssh is no secret, and needed."""
_ARGUMENTS_START, _ARGUMENTS_END = 45, 46
"""Fields behind the program's name in ``/proc/self/stat`` (proc(5)): 48 and 49."""


def without_logins(text: str) -> str:
    """Return a text without the users and passwords of the URLs in it."""
    return _LOGIN.sub("", text)


def hide_logins(arguments: Iterable[str]) -> None:
    """Overwrite the users and passwords of URLs on our command line, where the kernel shows it. ``sys.argv`` stays."""
    secrets = [login[:-1] for argument in arguments for login in _LOGIN.findall(argument)]
    if not secrets:
        return
    try:
        fields = pathlib.Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
    except (OSError, ValueError, IndexError):
        return
    if not 0 < start < end:
        return
    shown = ctypes.string_at(start, end - start)
    for secret in (secret.encode(errors="surrogateescape") for secret in secrets):
        index = shown.find(secret)
        while index >= 0:
            ctypes.memset(start + index, ord("*"), len(secret))
            index = shown.find(secret, index + 1)
