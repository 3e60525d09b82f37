"""``--change``: Dockerfile instructions for an image's config, as in ``docker import``."""

import dataclasses
import json
import shlex
from collections.abc import Callable

import click

from agent.model import key
from agent.oci import archives

_SHELL = ("/bin/sh", "-c")


def root_image(changes: list[str]) -> archives.RootImage:
    """Return the config that the instructions make; the last of each counts. Raises ``click.BadParameter``."""
    image = archives.RootImage()
    for text in changes:
        word, _, argument = text.strip().partition(" ")
        change = _INSTRUCTIONS.get(word.upper())
        if change is None or not argument.strip():
            names = ", ".join(_INSTRUCTIONS)
            raise click.BadParameter(f"--change: {text!r} is none of {names} with what it is to be")
        try:
            image = change(image, argument.strip())
        except ValueError as error:
            raise click.BadParameter(f"--change: {text!r}: {error}") from error
    return image


def _words(text: str) -> tuple[str, ...]:
    """Return the words of ``["a", "b"]``, or a shell command for any other line."""
    if not text.startswith("["):
        return (*_SHELL, text)
    words = json.loads(text)
    if not all(isinstance(word, str) for word in words):
        raise ValueError("write a list of strings")
    return tuple(words)


def _pairs(declared: key.Pairs, text: str) -> key.Pairs:
    """Return the declared pairs with those of ``NAME=VALUE ...``, or ``NAME VALUE``, added."""
    first, *more = shlex.split(text)
    if "=" not in first:
        return key.pairs((*declared, (first, " ".join(more))))
    assignments = [word.partition("=") for word in (first, *more)]
    if not all(name and equals for name, equals, _ in assignments):
        raise ValueError("write NAME=VALUE")
    return key.pairs((*declared, *((name, value) for name, _, value in assignments)))


_INSTRUCTIONS: dict[str, Callable[[archives.RootImage, str], archives.RootImage]] = {
    "CMD": lambda image, text: dataclasses.replace(image, command=_words(text)),
    "ENTRYPOINT": lambda image, text: dataclasses.replace(image, entrypoint=_words(text)),
    "ENV": lambda image, text: dataclasses.replace(image, env=_pairs(image.env, text)),
    "LABEL": lambda image, text: dataclasses.replace(image, labels=_pairs(image.labels, text)),
    "USER": lambda image, text: dataclasses.replace(image, user=text),
    "WORKDIR": lambda image, text: dataclasses.replace(image, working_dir=text),
}
