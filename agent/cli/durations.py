"""Durations and times as people type them on the command line."""

import click

from agent.kit import quantities, timestamps


def seconds(text: str, flag: str) -> float:
    """Return the seconds of ``10m``, ``1h30m``, ``2d``. Raises ``click.BadParameter`` that names the flag."""
    try:
        return quantities.seconds(text, days=True)
    except ValueError as error:
        raise click.BadParameter(f"{flag}: {text!r} is not {error}") from error


def positive_seconds(text: str, flag: str) -> float:
    """Return the seconds of a wait, which takes some. Raises as ``seconds``."""
    duration = seconds(text, flag)
    if duration <= 0.0:
        raise click.BadParameter(f"{flag}: {text!r} is not longer than nothing")
    return duration


def moment(text: str, flag: str, now: float) -> float:
    """Return the time that ``10m`` ago was, or of RFC 3339 (``2026-01-31T10:00:00Z``; without a zone, local time)."""
    stamp = timestamps.seconds(text) if "-" in text.lstrip("-") else None
    if stamp is not None:
        return stamp
    try:
        return now - quantities.seconds(text, days=True)
    except ValueError as error:
        raise click.BadParameter(f"{flag}: {text!r} is not {error}, or a time as 2026-01-31T10:00:00Z") from error
