"""Public keys by which signatures of images are verified: PEM files that the operator names."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Callable

from agent import errors
from agent.kit import frozen
from agent.reasons import Reason

_LARGEST = 64 * 1024
_PEM = re.compile(rb"-----BEGIN ([A-Z ]*)PUBLIC KEY-----.*?-----END \1PUBLIC KEY-----", re.DOTALL)


@frozen.value
class Key:
    """A public key."""

    fingerprint: str
    """The digest of the key itself (SubjectPublicKeyInfo), wherever its file is and however that is written."""
    has_signed: Callable[[bytes, bytes], bool] = dataclasses.field(repr=False, compare=False)
    """Whether a signature (first argument) over data (second) is by this key."""


def read(path: pathlib.Path) -> tuple[Key, ...]:
    """Return the keys of a file, in most cases one; cached until the file changes.

    Raises ``errors.InvalidArgument`` (``SignatureKeyInvalid``).
    """
    try:
        status = path.stat()
        return _read(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise errors.InvalidArgument(
            f"the public key {path}, by which images are to be verified, cannot be used: {why}",
            hint="no image that it is for is used until it can; cosign public-key --key cosign.key writes one",
            reason=Reason.SIGNATURE_KEY_INVALID,
        ) from error


@functools.lru_cache(maxsize=64)
def _read(path: pathlib.Path, stamp: tuple[int, ...]) -> tuple[Key, ...]:
    """Read a file; ``stamp``, its identity and times, is the cache key."""
    del stamp
    return _parsed(_content(path))


def _content(path: pathlib.Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        return file.read(_LARGEST + 1)


@functools.lru_cache(maxsize=64)
def _parsed(data: bytes) -> tuple[Key, ...]:
    from agent.engine.images import algorithms  # noqa: PLC0415 - cryptography is 7 MB, for those who verify

    blocks = [match[0] for match in _PEM.finditer(data)]
    if len(data) > _LARGEST or not blocks:
        raise ValueError("it is no public key in PEM form")
    return tuple(Key(*algorithms.of(pem)) for pem in blocks)
