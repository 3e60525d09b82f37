"""Durations as people type them on the command line."""

import re

import typer

_FORM = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds(text: str, flag: str) -> float:
    """Give the seconds of ``10m``, ``1h30m``, ``2d``. Raises ``typer.BadParameter`` that names the flag."""
    match = _FORM.fullmatch(text)
    if not text or match is None:
        raise typer.BadParameter(f"{flag}: {text!r} is not a duration; write 10m, 1h30m or 2d")
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + rest
