"""What texts of settings mean. Each parser raises ``ValueError`` with what is wanted instead."""

import pathlib
from collections.abc import Callable
from typing import TypeVar

from agent.kit import quantities

Number = TypeVar("Number", int, float)


def path(text: str) -> pathlib.Path:
    """Read a path; a relative one starts at the working directory."""
    if not text:
        raise ValueError("it is empty")
    return pathlib.Path(text).absolute()


def optional_path(text: str) -> pathlib.Path | None:
    """Read a path; an empty text is none."""
    return path(text) if text else None


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser of one of some words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"choose {' or '.join(choices)}")
        return text

    return parse


def flag(text: str) -> bool:
    """Read ``true`` or ``false``."""
    return one_of("true", "false")(text) == "true"


def seconds(text: str) -> float:
    """Read a duration, of more than nothing."""
    return _positive(quantities.seconds, text, "it must be longer than nothing")


def count(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise ValueError("write a whole number from 1 on")
    return int(text)


def count_or_unlimited(text: str) -> int | None:
    """Read a whole number from 1 on, or ``unlimited``."""
    return None if text == "unlimited" else count(text)


def percent(text: str) -> int:
    """Read a whole number of percents, from 1 to 100, with or without their sign."""
    number = text.removesuffix("%").rstrip()
    if not number.isdecimal() or not 1 <= int(number) <= 100:  # noqa: PLR2004 - all
        raise ValueError("write a whole number from 1 to 100")
    return int(number)


def size(text: str) -> int:
    """Read an amount of bytes, of more than nothing."""
    return _positive(quantities.size, text, "it must be more than nothing")


def some(text: str) -> str:
    """Read a text that is not empty."""
    if not text:
        raise ValueError("it is empty")
    return text


def file(text: str) -> pathlib.Path:
    """Read the path of a file that is there."""
    candidate = path(text)
    if not candidate.is_file():
        raise ValueError(f"there is no file {candidate}")
    return candidate


def _positive(read: Callable[[str], Number], text: str, demand: str) -> Number:
    try:
        total = read(text)
    except ValueError as error:
        raise ValueError(f"write {error}") from error
    if total <= 0:
        raise ValueError(demand)
    return total
