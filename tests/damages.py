"""Damage to a file, as disks and crashes do it: at a place and of a kind that a seed decides."""

import pathlib
import random

KINDS = ("page", "truncated", "zeroes", "garbage")
_PAGE = 4096


def damage(path: pathlib.Path, kind: str, seed: int) -> None:
    """Damage a file."""
    chance = random.Random(f"{kind} {seed}")  # noqa: S311 - for tests
    data = bytearray(path.read_bytes())
    if not data:
        return
    start, length = chance.randrange(len(data)), chance.randrange(1, 2 * _PAGE)
    match kind:
        case "page":  # one that was written to the wrong place
            start -= start % _PAGE
            data[start : start + _PAGE] = chance.randbytes(_PAGE)
        case "truncated":
            del data[start:]
        case "zeroes":
            length = min(length, len(data) - start)
            data[start : start + length] = bytes(length)
        case _:
            length = min(length, len(data) - start)
            data[start : start + length] = chance.randbytes(length)
    path.write_bytes(data)
