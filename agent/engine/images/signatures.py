"""Whose images may run: rules by registry, and signatures as cosign makes them."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """Images of some repositories must be signed."""

    match: str
    """A pattern of ``registry/repository``, where ``*`` is any text: ``registry.example/team/*``."""
    keys: tuple[pathlib.Path, ...]
    """Public keys (PEM); a signature by any of them will do."""
