"""``--change``: how an image is to be run, in a Dockerfile's words, as ``docker import`` has it."""

import dataclasses
import json
import shlex
from collections.abc import Callable

import typer

from agent.model import key
from agent.runtime import api

_SHELL = ("/bin/sh", "-c")


def root_image(changes: list[str]) -> api.RootImage:
    """Put instructions together; of one that is said twice the last counts. Raises ``typer.BadParameter``."""
    made = api.RootImage()
    for text in changes:
        word, _, rest = text.strip().partition(" ")
        change = _INSTRUCTIONS.get(word.upper())
        if change is None or not rest.strip():
            known = ", ".join(_INSTRUCTIONS)
            raise typer.BadParameter(f"--change: {text!r} is none of {known} with what it is to be")
        try:
            made = change(made, rest.strip())
        except ValueError as error:
            raise typer.BadParameter(f"--change: {text!r}: {error}") from error
    return made


def _words(text: str) -> tuple[str, ...]:
    """Read ``["a", "b"]``, or a line for the shell."""
    if not text.startswith("["):
        return (*_SHELL, text)
    found = json.loads(text)
    if not all(isinstance(one, str) for one in found):
        raise ValueError("write a list of strings")
    return tuple(found)


def _pairs(there: key.Pairs, text: str) -> key.Pairs:
    """Read ``NAME=VALUE ...``, or ``NAME VALUE``, behind what is there."""
    first, *more = shlex.split(text)
    if "=" not in first:
        return key.pairs((*there, (first, " ".join(more))))
    found = [one.partition("=") for one in (first, *more)]
    if not all(name and equals for name, equals, _ in found):
        raise ValueError("write NAME=VALUE")
    return key.pairs((*there, *((name, value) for name, _, value in found)))


_INSTRUCTIONS: dict[str, Callable[[api.RootImage, str], api.RootImage]] = {
    "CMD": lambda made, text: dataclasses.replace(made, command=_words(text)),
    "ENTRYPOINT": lambda made, text: dataclasses.replace(made, entrypoint=_words(text)),
    "ENV": lambda made, text: dataclasses.replace(made, env=_pairs(made.env, text)),
    "LABEL": lambda made, text: dataclasses.replace(made, labels=_pairs(made.labels, text)),
    "USER": lambda made, text: dataclasses.replace(made, user=text),
    "WORKDIR": lambda made, text: dataclasses.replace(made, working_dir=text),
}
