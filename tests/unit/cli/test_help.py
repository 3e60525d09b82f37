"""What ``--help`` of every command calls its arguments and values: plain words, and no types."""

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from agent.cli import commands, main

_UGLY = re.compile(r"[{}<>]|\[\[|\.\.\.\.|\.\.\.\]\.\.\.|\bTEXT\b|\bint\b|\bstr\b|\blist\[|[0-9]<?=x|x[<>]=")
_OWN_METAVAR = re.compile(r"\[?[A-Z]+\]?(\.\.\.)?")


def every_command() -> Iterator[tuple[str, Any]]:
    """Yield the root command, each other one and each of a group, with the words that are typed for it."""
    yield "trimtab", main.build()
    for entry in commands.ENTRIES:
        command = commands.load(entry)
        yield f"trimtab {entry.name}", command
        for name, part in getattr(command, "commands", {}).items():
            yield f"trimtab {entry.name} {name}", part


COMMANDS = list(every_command())


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _ in COMMANDS])
def test_help__of_every_command__has_plain_words(words: str, command: Any) -> None:
    text = command.get_help(click.Context(command, info_name=words))
    assert _UGLY.findall(text) == []
    assert text.startswith(f"Usage: {words} [OPTIONS]")


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _ in COMMANDS])
def test_help__of_every_command__names_each_argument_as_its_usage_does(words: str, command: Any) -> None:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    names = [parameter.make_metavar(click.Context(command)) for parameter in arguments]
    usage = command.get_help(click.Context(command, info_name=words)).splitlines()[0]
    assert all(_OWN_METAVAR.fullmatch(name) for name in names)
    assert usage.endswith(" ".join(["[OPTIONS]", *names]) if names else ("[OPTIONS]", "COMMAND [ARGS]..."))
    assert all(name.startswith("[") != parameter.required for name, parameter in zip(names, arguments, strict=True))
