"""A build as somebody types it, as a value that a running agent can be sent.

Nothing that builds is imported here: whoever only orders a build does without it.
"""

import base64
import dataclasses
from typing import TypeAlias

from agent.kit import canonical, frozen
from agent.model.key import Pairs

IMAGE = "docker-image://"
"""Begins a named context that is an image."""


@frozen.value(kw_only=True)
class Order:
    """What is to be built, and as what it is to be kept. Paths are absolute; text may have what is no UTF-8.

    Fields that have their defaults are not written, so that agents of earlier releases take what they know.
    """

    references: tuple[str, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Names of the image; none: it is not kept."""
    source: str
    """The Dockerfile's text."""
    dockerfile: str = dataclasses.field(default="", metadata=canonical.absent(""))
    """Where the Dockerfile was read; empty: it is no file."""
    context: str = dataclasses.field(default="", metadata=canonical.absent(""))
    """A directory; empty: there are no files to take."""
    target: str = dataclasses.field(default="", metadata=canonical.absent(""))
    platform: str = dataclasses.field(default="", metadata=canonical.absent(""))
    build_args: Pairs = dataclasses.field(default=(), metadata=canonical.absent(()))
    labels: Pairs = dataclasses.field(default=(), metadata=canonical.absent(()))
    contexts: Pairs = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Named contexts: directories, or ``docker-image://REFERENCE``."""
    secrets: Pairs = dataclasses.field(default=(), repr=False, metadata=canonical.absent(()))
    """Values by id, in base64."""
    ssh: Pairs = dataclasses.field(default=(), metadata=canonical.absent(()))
    """Sockets of ssh agents by id."""
    uses_cache: bool = dataclasses.field(default=True, metadata=canonical.absent(True))  # noqa: FBT003 - the default
    pulls: bool = dataclasses.field(default=False, metadata=canonical.absent(False))  # noqa: FBT003 - the default
    cache_from: tuple[str, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """References of caches in registries."""
    cache_to: tuple[str, ...] = dataclasses.field(default=(), metadata=canonical.absent(()))
    """As ``--cache-to`` has them."""
    output: str = dataclasses.field(default="", metadata=canonical.absent(""))
    """What is written beside the image: ``local``, ``tar``; empty: nothing."""
    output_path: str = dataclasses.field(default="", metadata=canonical.absent(""))
    network: str = dataclasses.field(default="default", metadata=canonical.absent("default"))
    epoch: int | None = dataclasses.field(default=None, metadata=canonical.absent(None))


@frozen.value
class Built:
    """The build is over: this came of it."""

    references: tuple[str, ...]
    id: str
    notes: tuple[str, ...] = ()
    """What is likely meant otherwise."""


@frozen.value
class Place:
    """Something wrong at a place of the Dockerfile."""

    line: int
    column: int
    message: str
    hint: str


@frozen.value
class Failed:
    """The build is over: it has failed."""

    places: tuple[Place, ...]
    """None: it did not fail because of the Dockerfile."""
    output: tuple[str, ...]
    """The last lines that the step has printed."""
    message: str
    hint: str


End: TypeAlias = Built | Failed


def decoded(data: bytes) -> str:
    """Return bytes as the text of an order; ``encoded`` gives them back."""
    return data.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """Return the bytes of an order's text."""
    return text.encode("utf-8", "surrogateescape")


def secret(name: str, value: bytes) -> tuple[str, str]:
    """Return a secret as an order has it."""
    return name, base64.b64encode(value).decode()
