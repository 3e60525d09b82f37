"""Nouns of builds: what is asked for, what is told meanwhile, and what comes of it."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

from agent.dockerfile import ignore, instructions
from agent.kit import frozen
from agent.oci import descriptor

Pair: TypeAlias = tuple[str, str]
_EVERYTHING = ignore.Ignore()


@frozen.value
class Context:
    """A directory that files are taken from."""

    path: pathlib.Path
    ignored: ignore.Ignore = _EVERYTHING
    """What is left out of it."""


@frozen.value
class BuildRequest:
    """A build as it is asked for."""

    dockerfile: instructions.Dockerfile
    context: Context | None
    """``None``: there are no files to take."""
    target: str = ""
    """A stage's name or number; empty: the last one."""
    platform: str = ""
    """``os/arch[/variant]``; empty: this host's."""
    build_args: tuple[Pair, ...] = ()
    labels: tuple[Pair, ...] = ()
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
    network: str = "default"
    """What RUN has where it names none: ``default``, ``none`` or ``host``."""
    epoch: int | None = None
    """``SOURCE_DATE_EPOCH``: seconds since the epoch that nothing in the image is newer than; ``None``: as it comes."""


@frozen.value
class StepBegun:
    """A step begins."""

    number: int
    """Unique in its build."""
    title: str
    """As people know it: ``[build 2/5] RUN make``."""


@frozen.value
class StepOutput:
    """What a step prints."""

    number: int
    data: bytes


@frozen.value
class StepEnded:
    """A step has ended."""

    number: int
    seconds: float
    is_cached: bool = False
    error: str = ""
    """Empty: it went well."""


Progress: TypeAlias = StepBegun | StepOutput | StepEnded
Report: TypeAlias = Callable[[Progress], None]


@frozen.value
class Layer:
    """A layer of an image: its tar stream's digest, and the blob that it is stored as."""

    diff_id: str
    blob: descriptor.Descriptor


@frozen.value
class BuiltImage:
    """What a build has made; it is stored, and on lease for as long as the build is held."""

    config: bytes
    layers: tuple[Layer, ...]
    steps: int
    cached: int
    """How many of the steps were not done again."""
