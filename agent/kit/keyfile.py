"""A random key in a file of its own, readable by its owner only."""

import contextlib
import os
import pathlib
import secrets

from agent.kit import atomicfile, files

_SIZE = 32
"""Bytes."""


def read(path: pathlib.Path) -> bytes:
    """Return the key; empty where there is none that this process can read."""
    try:
        descriptor = files.open_regular(path)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        key = file.read(_SIZE + 1)
    return key if len(key) == _SIZE else b""


def read_or_create(path: pathlib.Path) -> bytes:
    """Return the key, which is made where there is none, or a damaged one.

    Where it cannot be written (a full disk), it is one for this process only.
    """
    key = read(path)
    if not key:
        key = secrets.token_bytes(_SIZE)
        with contextlib.suppress(OSError):
            atomicfile.write(path, key, mode=0o600)
    return key
