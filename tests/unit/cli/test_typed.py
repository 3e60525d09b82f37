"""Values of arguments and flags have the types of a command's parameters, and what cannot be is said in a line."""

import enum
import pathlib
from typing import Annotated

import click
import pytest

from agent.cli import typed


class Colour(enum.StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


def values(*words: str) -> dict[str, object]:
    """Return what a command gets for the words that are typed behind it."""
    received: dict[str, object] = {}

    def command(  # noqa: PLR0913, PLR0917 - one of each type
        names: Annotated[list[str] | None, typed.Argument()] = None,
        count: Annotated[int | None, typed.Option(min=1, max=9)] = None,
        whole: Annotated[int, typed.Option()] = 3,
        path: Annotated[pathlib.Path | None, typed.Option()] = None,
        colour: Annotated[Colour, typed.Option()] = Colour.RED,
        on: Annotated[bool, typed.Option("--on")] = False,  # noqa: FBT002 - as commands have them
        more: Annotated[list[str] | None, typed.Option()] = None,
    ) -> None:
        received.update(locals())

    typed.command("command", command).main(words, standalone_mode=False)
    received.pop("received", None)
    return received


def test_values__nothing_typed__are_the_defaults() -> None:
    expected = {"names": None, "count": None, "whole": 3, "path": None, "colour": Colour.RED, "on": False, "more": None}
    assert values() == expected


def test_values__of_each_type() -> None:
    typed = values("a", "b", "--count", "9", "--whole=-4", "--path", "x/y", "--colour", "blue", "--on", "--more", "z")
    assert typed == {
        "names": ["a", "b"],
        "count": 9,
        "whole": -4,
        "path": pathlib.Path("x/y"),
        "colour": Colour.BLUE,
        "on": True,
        "more": ["z"],
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "0"], "'0' is not at least 1"),
        (["--count", "10"], "'10' is not at most 9"),
        (["--whole", "1.5"], "'1.5' is not a whole number"),
        (["--whole", "٣"], "'٣' is not a whole number"),
        (["--whole", "9" * 5000], "is not a whole number"),
        (["--colour", "green"], "'green' is not one of red, blue"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_value__that_cannot_be__is_refused_with_the_flag(words: list[str], message: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        values(*words)
    assert caught.value.format_message().startswith(f"Invalid value for '{words[0]}': ")
    assert message in caught.value.format_message()
