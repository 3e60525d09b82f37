"""Durations on the command line."""

import click
import pytest

from agent.cli import durations


@pytest.mark.parametrize(("text", "expected"), [("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1.5s", 1.5)])
def test_seconds__what_people_type__is_understood(text: str, expected: float) -> None:
    assert durations.seconds(text, "--since") == expected


@pytest.mark.parametrize("text", ["", "10", "m10", "1w", "-5m", "10 m"])
def test_seconds__anything_else__names_the_flag(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"^--since: "):
        durations.seconds(text, "--since")


@pytest.mark.parametrize(("text", "unit"), [("10", "10s"), ("1.5", "1.5s")])
def test_seconds__without_a_unit__says_so_with_an_example(text: str, unit: str) -> None:
    with pytest.raises(click.BadParameter, match=f"it has no unit, as {unit} has$"):
        durations.positive_seconds(text, "--timeout")
    with pytest.raises(click.BadParameter, match=f"it has no unit, as {unit} has, or a time as"):
        durations.moment(text, "--since", 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", 1_000_000_000 - 600),
        ("2001-09-09T01:46:40Z", 1_000_000_000),
        ("2001-09-09T03:46:40.5+02:00", 1_000_000_000.5),
    ],
)
def test_moment__a_duration_or_a_time__is_understood(text: str, expected: float) -> None:
    assert durations.moment(text, "--since", 1_000_000_000) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2001-13-01", "-5m"])
def test_moment__anything_else__names_the_flag_and_both_forms(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"^--since: .*, or a time as 2026-01-31T10:00:00Z"):
        durations.moment(text, "--since", 0)
