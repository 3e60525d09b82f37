"""A layer's bytes: told apart by how they begin, hashed, bounded, and damaged in no way that is not told."""

import bz2
import dataclasses
import gzip
import hashlib
import io
import lzma
import pathlib
import zlib

import pytest
import zstandard

from agent import errors
from agent.distribution.layers import streams
from tests import archives

PLAIN = b"tar or not, a stream does not care" * 1000
RANDOM = hashlib.shake_256(b"").digest(10000)
MIB = 1024 * 1024
UNLIMITED = streams.Limits()


def _read(packed: bytes, limits: streams.Limits = UNLIMITED) -> tuple[bytes, str]:
    """Read a stream in pieces of an odd size."""
    stream = streams.Bounded(streams.decompressed(io.BytesIO(packed)), len(packed), limits)
    pieces = []
    while piece := stream.read(777):
        pieces.append(piece)
    return b"".join(pieces), stream.digest()


def _zeros(mebibytes: int) -> bytes:
    """Pack zeros as tightly as deflate can."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()


@pytest.mark.parametrize(
    "packed",
    [
        PLAIN,
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]),
        zstandard.compress(PLAIN),
        zstandard.compress(PLAIN[:100]) + zstandard.compress(PLAIN[100:]),
        b"\x5e\x2a\x4d\x18\x04\0\0\0here" + zstandard.compress(PLAIN),
        lzma.compress(PLAIN),
        lzma.compress(PLAIN[:100]) + bytes(8) + lzma.compress(PLAIN[100:]),
        bz2.compress(PLAIN),
        bz2.compress(PLAIN[:100]) + bz2.compress(PLAIN[100:]),
    ],
    ids=[
        *("plain", "gzip", "gzip of two members", "zstd", "zstd of two frames", "zstd behind a frame to skip"),
        *("xz", "xz of two streams", "bzip2", "bzip2 of two streams"),
    ],
)
def test_stream__any_packing__gives_the_plain_bytes_and_their_digest(packed: bytes) -> None:
    assert _read(packed) == (PLAIN, archives.digest(PLAIN))


def test_digest__nothing_read_before__counts_all_bytes() -> None:
    stream = streams.Bounded(io.BytesIO(PLAIN), len(PLAIN), streams.Limits())
    assert stream.digest() == archives.digest(PLAIN)


def test_stream__empty_file__is_empty() -> None:
    assert _read(b"") == (b"", archives.digest(b""))


def test_stream__truncated_gzip__is_damaged() -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        _read(gzip.compress(RANDOM)[:-2000])
    assert caught.value.reason == "LayerDamaged"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_stream__any_byte_changed__is_refused_or_has_another_digest_or_the_same_bytes(pack) -> None:
    data = RANDOM[:300] * 2
    packed = pack(data)
    refused = 0
    for position in range(len(packed)):
        broken = bytearray(packed)
        broken[position] ^= 0x41
        try:
            unpacked, digest = _read(bytes(broken))
        except errors.InvalidArgument as error:
            refused += error.reason == "LayerDamaged"
        else:
            assert digest == archives.digest(unpacked)
            assert (unpacked == data) == (digest == archives.digest(data))
    assert refused > 0


def test_stream__more_than_it_may_unpack_to__is_too_large() -> None:
    limits = streams.Limits(unpacked=len(PLAIN) - 1)
    with pytest.raises(errors.InvalidArgument, match="unpacks to more than") as caught:
        _read(gzip.compress(PLAIN), limits)
    assert caught.value.reason == "LayerTooLarge"
    assert _read(gzip.compress(PLAIN), streams.Limits(unpacked=len(PLAIN)))[0] == PLAIN


TIGHT = streams.Limits(ratio=1000, ratio_from=64 * MIB)


def test_stream__bomb__is_refused_by_its_ratio_and_the_setting_is_named() -> None:
    with pytest.raises(errors.InvalidArgument, match="more than 1000 times its size") as caught:
        _read(_zeros(80), TIGHT)
    assert (caught.value.reason, "layers.ratio" in caught.value.hint) == ("LayerTooLarge", True)


def test_stream__gigabytes_of_zeros__are_a_layer_like_any_other() -> None:
    packed = _zeros(100)
    assert len(packed) * 1000 < 100 * MIB
    assert streams.Bounded(streams.decompressed(io.BytesIO(packed)), len(packed), streams.Limits()).digest()
    assert streams.Limits().ratio_from > 4 * 1024**3


def test_stream__small_layer_of_zeros__is_no_bomb() -> None:
    packed = _zeros(16)
    assert len(packed) * 1000 < 16 * MIB
    assert _read(packed) == (bytes(16 * MIB), archives.digest(bytes(16 * MIB)))


def test_bounded__file_on_disk__takes_its_size_as_the_packed_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(_zeros(80))
    with path.open("rb") as file, pytest.raises(errors.InvalidArgument, match="1000 times"):
        streams.bounded(path, file, TIGHT).digest()
    with path.open("rb") as file:
        digest = streams.bounded(path, file, dataclasses.replace(TIGHT, ratio=2000)).digest()
    assert digest == archives.digest(bytes(80 * MIB))
