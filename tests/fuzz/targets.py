"""What is fuzzed: a function takes any bytes and raises only where a promise is broken."""

import contextlib
import io
import itertools
import os
import pathlib
import tempfile
from collections.abc import Callable

from agent import errors
from agent.distribution.layers import entries, streams
from agent.dockerfile import checks, configuration, evaluate, ignore, parse, stages
from agent.dockerfile import mistake as mistakes
from agent.engine.kernel import linux
from agent.engine.layers import unpack
from agent.oci import digest, document, image_config, manifest
from agent.oci import reference as references
from agent.sources import git_tree

_BLOCK = 512
_LIMITS = streams.Limits(entries=1000, unpacked=1 << 24)
_KERNEL = linux.LinuxKernel()


def reference(data: bytes) -> None:
    """A text is a reference, which is the same when it is written and read again, or an ``InvalidReference``."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        read = references.parse(text)
    except references.InvalidReference:
        return
    assert references.parse(str(read)) == read
    assert str(read).isascii()
    assert read.tag or read.digest


def manifest_(data: bytes) -> None:
    """A document is a manifest, an index, a config, or ``Malformed``; nothing in it is more than it may be."""
    try:
        read = manifest.parse(data)
    except document.Malformed:
        pass
    else:
        for described in (read.config, *read.layers) if isinstance(read, manifest.Manifest) else read.manifests:
            assert digest.parse(described.digest)
            assert 0 <= described.size <= 1 << 50
    try:
        config = image_config.parse(data)
    except document.Malformed:
        return
    assert len(image_config.chain_ids(config.diff_ids)) == len(config.diff_ids)
    assert "\0" not in "".join((*config.env, *config.cmd, *config.entrypoint, config.user, config.working_dir))


def listing(data: bytes) -> None:
    """What git lists of a commit is understood or refused; each of its manifests is a file or has a problem.

    What follows a form feed is what its links point to.
    """
    printed, *targets = data.split(b"\f")
    try:
        listed = git_tree.parse_listing(printed)
    except git_tree.BadListing:
        return
    links = git_tree.links(listed)
    objects = {link.object_id: target for link, target in zip(links, targets, strict=False)}
    tree = git_tree.GitTree(listed, objects)
    for entry in itertools.islice(tree.manifests("", 40), 1000):
        assert (entry.entry is None) == bool(entry.problem)
        assert entry.entry is None or entry.entry.mode not in {"040000", "120000", "160000"}
    assert git_tree.sparse_patterns(listed, objects).startswith(b"/*\n")


def tar(data: bytes) -> None:
    """A layer is read within its limits, or refused; unpacked, it changes nothing beside its directory.

    Each layer is taken as it is, and with the checksums of its headers put right: no fuzzer would guess them.
    """
    for layer in {data, _mended(data)}:
        _read(layer)
        if os.geteuid() == 0:
            _unpacked(layer)


def dockerfile(data: bytes) -> None:
    """A Dockerfile is read or refused, with places that are in it; what is read is checked and followed, or refused."""
    parsed = parse.parse(data)
    for mistake in parsed.mistakes:
        _check_place(mistake.position, data)
        assert mistake.message
    if parsed.mistakes:
        return
    for finding in checks.check(parsed):
        _check_place(finding.position, data)
    try:
        arguments = stages.global_arguments(parsed.dockerfile, {"A": "given"}, {"TARGETARCH": "amd64"})
        graph = stages.graph(parsed.dockerfile, arguments)
        options = evaluate.Options(parsed.dockerfile.escape, {"A": "given"}, arguments)
        for node in graph.nodes:
            frame = evaluate.begin(configuration.of_document({}))
            for instruction in node.stage.instructions:
                frame, _ = evaluate.follow(frame, instruction, options)
            assert frame.configuration.document() is not None
    except mistakes.Mistake as mistake:
        _check_place(mistake.position, data)


def _check_place(position: tuple[int, int], data: bytes) -> None:
    lines = data.decode("utf-8-sig", "surrogateescape").split("\n")
    assert 1 <= position[0] <= len(lines)
    assert 1 <= position[1] <= len(lines[position[0] - 1]) + 1


def dockerignore(data: bytes) -> None:
    """A ``.dockerignore`` is read or refused with its line; what follows form feeds is paths that it is asked about."""
    text, *paths = data.split(b"\f")
    try:
        rules = ignore.parse(text)
    except ignore.BadPattern as error:
        _check_place((error.line, 1), text)
        return
    for path in paths[:20]:
        name = path.decode("utf-8", "surrogateescape").strip("/")
        assert rules.leaves_out(name) in {True, False}
        if name and not rules.may_bring_back and rules.leaves_out(name):
            assert rules.leaves_out(f"{name}/below")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "reference": reference,
    "manifest": manifest_,
    "listing": listing,
    "dockerfile": dockerfile,
    "dockerignore": dockerignore,
    "tar": tar,
}
"""By the name of their folder in ``corpus``."""


def _mended(data: bytes) -> bytes:
    """Put right the checksum of all that looks like a header."""
    mended = bytearray(data)
    for at in range(0, len(mended) - _BLOCK + 1, _BLOCK):
        if mended[at + 257 : at + 262] == b"ustar":
            mended[at + 148 : at + 156] = b" " * 8
            mended[at + 148 : at + 156] = b"%06o\0 " % sum(mended[at : at + _BLOCK])
    return bytes(mended)


def _read(layer: bytes) -> None:
    stream = streams.Bounded(streams.decompressed(io.BytesIO(layer)), len(layer), _LIMITS)
    archive = entries.Entries(stream)
    try:
        for count, entry in enumerate(archive):
            assert "\0" not in entry.name + entry.link
            assert entry.size >= 0
            assert 0 <= entry.mode <= 0o7777
            assert 0 <= entry.time <= 2**62
            assert 0 <= min(entry.uid, entry.gid) <= max(entry.uid, entry.gid) < 2**32 - 1
            assert sum(map(len, archive.content())) == entry.size
            if count >= _LIMITS.entries:
                break
    except (entries.Unsound, errors.InvalidArgument):
        return


def _unpacked(layer: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as home:
        target, canary = pathlib.Path(home, "layer"), pathlib.Path(home, "canary")
        target.mkdir()
        canary.write_bytes(b"untouched")
        before, opened = _stamp(canary), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are numbers
        stream = streams.Bounded(streams.decompressed(io.BytesIO(layer)), len(layer), _LIMITS)
        with contextlib.suppress(errors.InvalidArgument):
            unpack.unpack(_KERNEL, stream, target, _LIMITS)
        assert (canary.read_bytes(), _stamp(canary)) == (b"untouched", before)
        assert sorted(os.listdir(home)) == ["canary", "layer"]  # noqa: PTH208 - compared as names
        assert len(os.listdir("/proc/self/fd")) == opened  # noqa: PTH208 - names are numbers


def _stamp(path: pathlib.Path) -> tuple[int, ...]:
    """Return everything that a change would show and reading does not."""
    status = path.stat()
    return (
        status.st_mode,
        status.st_ino,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
