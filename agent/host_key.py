"""The host's key, by which values of Secrets are compared: a file in the root that its owner alone may read."""

import contextlib
import pathlib

from agent import settings
from agent.kit import keyfile, permissions
from agent.model import secret


def path(chosen: settings.Settings) -> pathlib.Path:
    """Return where the key is."""
    return chosen.root / "secrets.key"


def read(chosen: settings.Settings) -> bytes:
    """Return the key; empty where there is none that this user may read."""
    return keyfile.read(path(chosen))


def read_or_create(chosen: settings.Settings) -> bytes:
    """Return the key, which is made where there is none."""
    return keyfile.read_or_create(path(chosen))


def ensure(chosen: settings.Settings) -> bool:
    """Make the key where there is none yet; return whether there is one."""
    with contextlib.suppress(OSError):
        chosen.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        read_or_create(chosen)
    return bool(read(chosen))


def identity(chosen: settings.Settings) -> str:
    """Return by what the key is told from others; empty where there may be one that this user may not read."""
    return "" if permissions.is_withheld(path(chosen)) else secret.key_id(read(chosen))
