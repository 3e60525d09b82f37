"""Writing to open files."""

import os

PIECE = 64 * 1024
"""Bytes written at a time. For larger writes ext4 (Linux 6.16 and newer) looks for large pages, which takes up to ten
times as long as the writing itself."""


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it, however little the disk takes at a time. Raises ``OSError``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:PIECE]) :]
