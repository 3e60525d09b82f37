"""What is told of a build while it goes on."""

from collections.abc import Callable
from typing import TypeAlias

from agent.kit import frozen


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
