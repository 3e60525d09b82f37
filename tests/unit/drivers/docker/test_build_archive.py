"""Contexts as engines take them: what is in the tar, and where the Dockerfile lies."""

import io
import os
import pathlib
import socket
import tarfile

import pytest

from agent.dockerfile import builds, ignore, parse
from agent.drivers.docker import build_archive

TEXT = b"FROM a\nCOPY . /\n"


@pytest.fixture
def context(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with one of everything."""
    top = tmp_path / "app"
    (top / "src").mkdir(parents=True)
    (top / "Dockerfile").write_bytes(TEXT)
    (top / "src" / "main.c").write_text("1")
    (top / "src" / "main.c").chmod(0o750)
    os.chown(top / "src" / "main.c", 1000, 1000)
    os.link(top / "src" / "main.c", top / "same.c")
    (top / "link").symlink_to("/etc/shadow")
    (top / ("x" * 120)).write_text("long")
    os.mkfifo(top / "pipe")
    return top


def written(
    context: pathlib.Path | None, patterns: bytes = b"", file: pathlib.Path | None = None
) -> tuple[str, dict[str, tarfile.TarInfo], tarfile.TarFile]:
    """Write a tar, and return the Dockerfile's path, the entries by name, and all of it."""
    own = None if context is None else builds.Context(context, ignore.parse(patterns))
    request = builds.Request(parse.parse(TEXT).dockerfile, TEXT, own, file=file)
    out = io.BytesIO()
    name = build_archive.write(request, out)
    out.seek(0)
    tar = tarfile.open(fileobj=out)  # noqa: SIM115 - in memory
    return name, {info.name: info for info in tar}, tar


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_write__all_sorts_of_files__are_roots_and_what_they_are(context: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(context / "s"))
        name, entries, tar = written(context, file=context / "Dockerfile")
    assert name == "Dockerfile"
    assert set(entries) == {"Dockerfile", "src", "src/main.c", "same.c", "link", "x" * 120, "pipe"}
    assert {(info.uid, info.gid, info.uname) for info in entries.values()} == {(0, 0, "")}
    assert (entries["src/main.c"].mode, entries["link"].linkname) == (0o750, "/etc/shadow")
    assert content(tar, "src/main.c") == content(tar, "same.c") == b"1"
    assert content(tar, "x" * 120) == b"long"
    assert entries["pipe"].isfifo()


def test_write__first_entry__is_the_dockerfile_without_a_pax_header(context: pathlib.Path) -> None:
    _, _, tar = written(context, file=context / "Dockerfile")
    first = tar.getmembers()[0]
    assert (first.name, first.offset, first.pax_headers) == ("Dockerfile", 0, {})


@pytest.mark.parametrize(
    "case", ["left out", "outside", "in the manifest", "changed since", "a link", "not ASCII", "below a link"]
)
def test_write__dockerfile_that_is_no_part_of_the_context__has_a_name_of_its_own(
    context: pathlib.Path, tmp_path: pathlib.Path, case: str
) -> None:
    file: pathlib.Path | None = context / "Dockerfile"
    patterns = b"Dockerfile\n" if case == "left out" else b""
    if case == "outside":
        file = tmp_path / "Dockerfile"
        file.write_bytes(TEXT)
    elif case == "in the manifest":
        file = None
    elif case == "changed since":
        (context / "Dockerfile").write_text("FROM b")
    elif case == "below a link":
        (tmp_path / "infra").mkdir()
        (context / "Dockerfile").rename(tmp_path / "infra" / "Dockerfile")
        (context / "docker").symlink_to("../infra")
        file = context / "docker" / "Dockerfile"
    elif case == "not ASCII":
        file = (context / "Dockerfile").rename(context / "D\u00f6ckerfile")
    elif case == "a link":
        (context / "Dockerfile").rename(context / "Real")
        (context / "Dockerfile").symlink_to("Real")
    (context / ".dockerignore").write_bytes(b"*.md")
    name, _, tar = written(context, patterns, file)
    assert name.startswith(".dockerfile.")
    assert content(tar, name) == TEXT
    assert content(tar, ".dockerignore") == b"*.md\n" + name.encode() + b"\n"


def test_write__file_beside_the_dockerfile_says_what_is_left_out__the_contexts_is_not_sent(
    context: pathlib.Path,
) -> None:
    (context / ".dockerignore").write_bytes(b"src")
    (context / "Dockerfile.dockerignore").write_bytes(b"")
    _, entries, _ = written(context, file=context / "Dockerfile")
    assert ".dockerignore" not in entries
    assert "Dockerfile.dockerignore" in entries
    (context / "Dockerfile").write_text("FROM b")
    name, _, tar = written(context, file=context / "Dockerfile")
    assert content(tar, ".dockerignore") == b"\n" + name.encode() + b"\n"


def test_write__what_is_left_out__is_not_sent(context: pathlib.Path) -> None:
    _, entries, _ = written(context, b"*\n!src\n", context / "Dockerfile")
    assert {name for name in entries if not name.startswith(".docker")} == {"src", "src/main.c"}


def test_write__no_context__is_the_dockerfile_alone() -> None:
    name, entries, _ = written(None)
    assert set(entries) == {name, ".dockerignore"}


def test_write__file_was_replaced_by_a_link__is_not_followed(
    context: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = list(build_archive.build_files.entries(context, ignore.Ignore()))
    for _, entry in listed:
        entry.stat(follow_symlinks=False)
    (context / "same.c").unlink()
    (context / "same.c").symlink_to("/etc/passwd")
    monkeypatch.setattr(build_archive.build_files, "entries", lambda *_: listed)
    with pytest.raises(OSError, match="it was replaced while it was read"):
        written(context, file=context / "Dockerfile")


def test_entries__directory_goes_meanwhile__is_passed_over_and_the_context_itself_is_not(
    context: pathlib.Path,
) -> None:
    walk = build_archive.build_files.entries(context, ignore.Ignore())
    names = []
    for path, _ in walk:
        names.append(path)
        if path == "src":
            (context / "src" / "main.c").unlink()
            (context / "src").rmdir()
    assert "src" in names
    assert "src/main.c" not in names
    with pytest.raises(FileNotFoundError):
        list(build_archive.build_files.entries(context / "gone", ignore.Ignore()))
