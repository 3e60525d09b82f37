"""Small files of the kernel's: read whole, by three system calls, for a scrape reads a dozen for every container."""

import os
from collections.abc import Callable
from typing import TypeVar

_LARGEST = 65_536
"""Bytes: more than any of these files has, also with hundreds of interfaces."""

T = TypeVar("T")


def content(path: str) -> str:
    """Return a file's text. Raises ``OSError``, and ``ValueError`` for what is no text."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LARGEST).decode()
    finally:
        os.close(descriptor)


def number(path: str) -> int:
    """Return the number that is a file's whole content. Raises as ``content``."""
    return int(content(path))


def fields(path: str) -> dict[str, str]:
    """Return what ``name value`` lines say, as text: few values are asked for. Raises as ``content``."""
    return dict(line.partition(" ")[::2] for line in content(path).split("\n"))


def line_count(path: str) -> int:
    """Count the lines of a file of any size. Raises ``OSError``."""
    count = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while part := os.read(descriptor, _LARGEST):
            count += part.count(b"\n")
    finally:
        os.close(descriptor)
    return count


def attempt(read: Callable[[str], T], directory: str | None) -> T | None:
    """Return what is read of a cgroup; ``None`` where nothing controls it, or its files do not say what is asked."""
    if directory is None:
        return None
    try:
        return read(directory)
    except (OSError, ValueError, KeyError):
        return None
