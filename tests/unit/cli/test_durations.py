"""Durations on the command line."""

import pytest
import typer

from agent.cli import durations


@pytest.mark.parametrize(("text", "expected"), [("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1.5s", 1.5)])
def test_seconds__what_people_type__is_understood(text: str, expected: float) -> None:
    assert durations.seconds(text, "--since") == expected


@pytest.mark.parametrize("text", ["", "10", "m10", "1w", "-5m", "10 m"])
def test_seconds__anything_else__names_the_flag(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"^--since: "):
        durations.seconds(text, "--since")
