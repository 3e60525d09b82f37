"""Nouns of builds: what is asked for, and what is told meanwhile."""

import dataclasses
import pathlib
from collections.abc import Mapping

from agent import errors
from agent.dockerfile import caches, ignore, instructions, outputs
from agent.dockerfile.mistake import Position
from agent.kit import frozen
from agent.reasons import Reason

_EVERYTHING = ignore.Ignore()


class BuildFailed(errors.InvalidArgument):
    """A step has failed."""

    def __init__(
        self,
        position: Position,
        message: str,
        hint: str = "",
        output: tuple[str, ...] = (),
        reason: Reason = Reason.BUILD_FAILED,
    ) -> None:
        """Take line and column in the Dockerfile, and the last lines that the step has printed."""
        super().__init__(f"line {position[0]}: {message}", hint=hint, reason=reason)
        self.position = position
        self.what = message
        """Without the place."""
        self.output = output


@frozen.value
class Context:
    """A directory that files are taken from."""

    path: pathlib.Path
    ignored: ignore.Ignore = _EVERYTHING
    """What is left out of it."""


@frozen.value
class Request:
    """A build as it is asked for."""

    dockerfile: instructions.Dockerfile
    source: bytes = dataclasses.field(repr=False)
    """The Dockerfile's text."""
    context: Context | None
    """``None``: there are no files to take."""
    file: pathlib.Path | None = None
    """Where the Dockerfile was read; ``None``: it is no file."""
    target: str = ""
    """A stage's name or number; empty: the last one."""
    platform: str = ""
    """``os/arch[/variant]``; empty: this host's."""
    build_args: tuple[instructions.Pair, ...] = ()
    labels: tuple[instructions.Pair, ...] = ()
    """Labels of the image, on top of those of the Dockerfile."""
    contexts: Mapping[str, "Context | str"] = dataclasses.field(default_factory=dict)
    """Named contexts: directories, or references of images."""
    secrets: Mapping[str, bytes] = dataclasses.field(default_factory=dict, repr=False)
    """Values by id; they are in no layer, no history, no cache and no record."""
    ssh: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    """Sockets of ssh agents by id."""
    uses_cache: bool = True
    pulls: bool = False
    """Base images are asked for anew at their registries."""
    cache_from: tuple[str, ...] = ()
    """References of caches in registries that steps are taken from."""
    cache_to: tuple[caches.CacheTarget, ...] = ()
    """Caches in registries that the steps are kept in."""
    output: outputs.Output | None = None
    """Where the files of the last stage are written, by an absolute path; ``None``: nowhere."""
    network: str = "default"
    """What RUN has where it names none: ``default``, ``none`` or ``host``."""
    registries: tuple[str, ...] = ()
    """The only ones that images come from, or patterns of ``registry/repository``; empty: all."""
    fetches: bool = True
    """ADD may fetch files and repositories, which is done from the host's own network."""
    epoch: int | None = None
    """``SOURCE_DATE_EPOCH``: seconds since the epoch that nothing in the image is newer than; ``None``: as it comes."""
