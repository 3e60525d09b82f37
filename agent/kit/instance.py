"""The identity of an instance on its host: what tells its bridges, tables, cgroups and labels from those of others."""

import hashlib
import pathlib


def of(root: pathlib.Path) -> str:
    """Return five hexadecimal digits that tell a root (an absolute path) from every other one of the host."""
    return hashlib.sha256(str(root).encode()).hexdigest()[:5]
