"""The content store: a blob is there whole and verified, or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from agent import errors
from agent.distribution.content import store
from agent.kit import atomicfile
from agent.oci import descriptor, digest, mediatypes
from tests import archives

DATA = b"some content"
TOLD = descriptor.Descriptor(mediatypes.LAYER, archives.digest(DATA), len(DATA))


@pytest.fixture
def content(tmp_path: pathlib.Path) -> store.ContentStore:
    content_store = store.ContentStore(tmp_path / "root" / "content")
    content_store.prepare()
    return content_store


def _write(content: store.ContentStore, blob: descriptor.Descriptor, data: bytes) -> None:
    with content.ingest(blob) as target:
        for at in range(0, len(data), 5):
            target.write(data[at : at + 5])


def test_ingest__right_bytes__are_kept(content) -> None:
    _write(content, TOLD, DATA)
    assert content.read(TOLD.digest) == DATA
    assert (content.digests(), content.unfinished()) == ({TOLD.digest}, [])


def test_ingest__sha512__is_kept_under_its_own_algorithm(content) -> None:
    blob = descriptor.Descriptor(mediatypes.LAYER, f"sha512:{hashlib.sha512(DATA).hexdigest()}", len(DATA))
    _write(content, blob, DATA)
    assert content.digests() == {blob.digest}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"some contend", "digest sha256:"),
        (DATA[:-1], "11 bytes and not 12"),
        (b"", "0 bytes and not 12"),
        (DATA + b"!", "more than the announced 12 bytes"),
    ],
)
def test_ingest__other_bytes_than_announced__are_refused_and_nothing_is_kept(content, data, message) -> None:
    with pytest.raises(errors.InvalidArgument, match=message) as caught:
        _write(content, TOLD, data)
    assert caught.value.reason == "DigestMismatch"
    assert (content.digests(), content.unfinished()) == (frozenset(), [])


def _overfill(content: store.ContentStore, sizes: list[int]) -> None:
    with content.ingest(TOLD) as target:
        target.write(DATA[:5])
        try:
            target.write(DATA)
        finally:
            sizes.append(os.fstat(target._file).st_size)


def test_ingest__too_much__is_refused_before_it_is_written(content) -> None:
    sizes: list[int] = []
    with pytest.raises(errors.InvalidArgument):
        _overfill(content, sizes)
    assert (sizes, content.digests(), content.unfinished()) == ([5], frozenset(), [])


def _fail(content: store.ContentStore) -> None:
    with content.ingest(TOLD) as target:
        target.write(DATA)
        raise ZeroDivisionError


def test_ingest__writer_fails__keeps_nothing(content) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail(content)
    assert (content.digests(), content.unfinished()) == (frozenset(), [])


def test_ingest__same_blob_twice_at_once__is_there_once(content) -> None:
    with content.ingest(TOLD) as first, content.ingest(TOLD) as second:
        first.write(DATA)
        second.write(DATA)
        assert len(content.unfinished()) == 2
    assert (content.digests(), content.unfinished()) == ({TOLD.digest}, [])


@pytest.mark.parametrize("text", ["", "sha256:", "../../etc/passwd", "sha256:" + "../" * 22, "md5:" + "0" * 32])
def test_path__no_digest__is_never_a_path(content, text: str) -> None:
    with pytest.raises(digest.InvalidDigest):
        content.path(text)


def test_read__missing__not_found(content) -> None:
    with pytest.raises(errors.NotFound) as caught:
        content.read(TOLD.digest)
    assert caught.value.reason == "ContentMissing"


def test_read__blob_too_large_for_a_document__is_refused_and_not_taken_to_memory(content) -> None:
    blob = content.put(mediatypes.LAYER, bytes(4 * 1024 * 1024 + 1))
    with pytest.raises(errors.InvalidArgument, match="too large"):
        content.read(blob.digest)
    assert len(content.read(content.put(mediatypes.CONFIG, bytes(4 * 1024 * 1024)).digest)) == 4 * 1024 * 1024


def test_condemn__it_comes_anew_meanwhile__is_there_and_stays(content) -> None:
    blob = content.put(mediatypes.CONFIG, DATA)
    condemned = content.detach(blob.digest)
    assert not content.has(blob.digest)
    content.put(mediatypes.CONFIG, DATA)
    condemned.unlink()
    assert (content.read(blob.digest), content.unfinished()) == (DATA, [])


def test_prepare__after_a_crash__takes_away_what_was_being_written(content, tmp_path) -> None:
    kept = content.put(mediatypes.CONFIG, DATA)
    (tmp_path / "root/content/ingest/0123").write_bytes(b"half")
    content.prepare()
    assert (content.digests(), content.unfinished()) == ({kept.digest}, [])


def test_layout__is_an_oci_image_layout(content, tmp_path) -> None:
    blob = content.put(mediatypes.MANIFEST, DATA)
    content.write_index([blob])
    top = tmp_path / "root/content"
    assert json.loads((top / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((top / "index.json").read_bytes()) == {
        "schemaVersion": 2,
        "manifests": [{"mediaType": mediatypes.MANIFEST, "digest": blob.digest, "size": 12}],
    }
    assert (top / "blobs/sha256" / blob.digest[7:]).read_bytes() == DATA


def test_scratch__file_without_a_name__is_on_the_store_s_disk(content, tmp_path) -> None:
    with content.scratch() as file:
        file.write(DATA)
        file.seek(0)
        assert file.read() == DATA
        assert os.fstat(file.fileno()).st_dev == (tmp_path / "root/content").stat().st_dev
        assert content.unfinished() == []


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "DiskFull"), (errno.EDQUOT, "DiskFull"), (errno.EIO, "HostFailure")]
)
def test_disk_failure__error_of_a_write__says_whether_the_disk_is_full(number: int, reason: str) -> None:
    assert store.disk_failure(OSError(number, os.strerror(number))).reason == reason


@contextlib.contextmanager
def _small_disk(target: pathlib.Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.mark.root
def test_ingest__disk_full__is_unavailable_and_keeps_nothing(content, tmp_path) -> None:
    data = bytes(512 * 1024)
    with _small_disk(tmp_path / "root/content/ingest"):
        with pytest.raises(errors.Unavailable) as caught:
            content.put(mediatypes.LAYER, data)
        with pytest.raises(errors.Unavailable) as scratched, content.scratch() as file:
            file.write(data)
        assert (caught.value.reason, scratched.value.reason) == ("DiskFull", "DiskFull")
        assert (content.digests(), content.unfinished()) == (frozenset(), [])


def test_prepare__after_a_crash_in_the_table_of_contents__takes_away_what_was_written_of_it(content, tmp_path) -> None:
    half = tmp_path / "root/content" / f"{atomicfile.TEMPORARY_PREFIX}0123"
    half.write_bytes(b"{")
    content.prepare()
    assert not half.exists()
