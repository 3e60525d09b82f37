"""Caches in a registry, as ``--cache-from`` and ``--cache-to`` of BuildKit name them. Pure."""

import re

from agent.kit import frozen

_FIELD = re.compile(r"[a-z-]+=")
_FORM = "write REFERENCE, or type=registry,ref=REFERENCE"
_OTHERS = ("azblob", "gha", "inline", "local", "s3")


@frozen.value
class CacheTarget:
    """Where the steps of a build are kept."""

    reference: str
    is_whole: bool = False
    """Those of every stage that was built (``mode=max``), not of the target alone."""


def source(text: str) -> str:
    """Return the reference that steps are taken from. Raises ``ValueError`` with what is wrong."""
    fields = _fields(text)
    fields.pop("mode", None)
    return _reference(fields)


def target(text: str) -> CacheTarget:
    """Return where steps are kept. Raises ``ValueError`` with what is wrong."""
    fields = _fields(text)
    mode = fields.pop("mode", "min")
    if mode not in {"min", "max"}:
        raise ValueError(f"mode={mode[:50]} is none of min and max")
    return CacheTarget(_reference(fields), is_whole=mode == "max")


def _fields(text: str) -> dict[str, str]:
    if not _FIELD.match(text):
        return {"ref": text}
    return dict(part.strip().partition("=")[::2] for part in text.split(","))


def _reference(fields: dict[str, str]) -> str:
    kind, reference = fields.pop("type", "registry"), fields.pop("ref", "")
    if kind in _OTHERS:
        raise ValueError(f"type={kind} is not built: a cache lies in a registry")
    if kind != "registry" or fields:
        wrong = f"type={kind}" if kind != "registry" else next(iter(fields))
        raise ValueError(f"{wrong[:50]} is not known: {_FORM}")
    if not reference:
        raise ValueError(f"it names no reference: {_FORM}")
    return reference
