"""Builds as small texts: a Dockerfile, the context's files, and what the build is given.

``=== name`` begins a case, ``option: value`` lines follow, and ``--- path`` begins each file: ``Dockerfile`` is the
Dockerfile, all others are the context's. ``--- path 755`` is a file of that mode, ``--- path/`` an empty directory,
``--- path -> target`` a link, ``--- path = other`` a hard link. ``--- path.tar`` that begins with ``name content`` is
an archive of the lines behind that.
"""

import dataclasses
import io
import os
import pathlib
import re
import tarfile
from collections.abc import Iterator

FOLDER = pathlib.Path(__file__).parent / "cases"
EXPECTED = pathlib.Path(__file__).parent / "expected"
THEN = 1_000_000_000
"""Seconds since the epoch: when all files of a context were changed."""
_HEADER = re.compile(r"--- (\S+)(?: (-> .*|= .*|[0-7]{3,4}))?")


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A build."""

    name: str
    options: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str, str], ...]
    """Path, what kind of file it is, content."""

    @property
    def dockerfile(self) -> bytes:
        """The Dockerfile."""
        return next(content for path, _, content in self.files if path == "Dockerfile").encode()

    def values(self, name: str) -> list[str]:
        """Return the values of an option."""
        return [value for option, value in self.options if option == name]

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the values of an option as names with values."""
        return tuple((name, value) for name, _, value in (text.partition("=") for text in self.values(name)))

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        """Write the context's files, and return the folder."""
        folder.mkdir()
        for path, kind, content in self.files:
            if path.endswith("/"):
                (folder / path).mkdir(parents=True)
            else:
                _write(folder / path, kind, content)
        for path in sorted(folder.rglob("*"), reverse=True):
            os.utime(path, (THEN, THEN), follow_symlinks=False)
        os.utime(folder, (THEN, THEN))
        return folder


def load(group: pathlib.Path) -> Iterator[Case]:
    """Yield the cases of a file."""
    for text in re.split(r"^=== ", group.read_text(), flags=re.MULTILINE)[1:]:
        head, *parts = re.split(r"^(?=--- )", text, flags=re.MULTILINE)
        name, *lines = head.splitlines()
        options = [line.partition(": ")[::2] for line in lines if line.strip() and not line.startswith("#")]
        yield Case(name.strip(), tuple((key, value) for key, value in options), tuple(map(_file, parts)))


def _file(text: str) -> tuple[str, str, str]:
    line, _, content = text.partition("\n")
    match = _HEADER.fullmatch(line)
    assert match is not None, line
    return match[1], match[2] or "", content


def _write(path: pathlib.Path, kind: str, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind.startswith("-> "):
        path.symlink_to(kind.removeprefix("-> "))
    elif kind.startswith("= "):
        os.link(path.parent / kind.removeprefix("= "), path)
    elif path.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")) and content.startswith("name "):
        path.write_bytes(_archive(path.name, content))
    else:
        path.write_text(content, newline="")
        path.chmod(int(kind, 8) if kind else 0o644)


def _archive(name: str, content: str) -> bytes:
    """Return an archive: each line behind the first is a name, with a slash a directory, and its content."""
    buffer = io.BytesIO()
    packing = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(name.rpartition(".")[2], "w")
    with tarfile.open(fileobj=buffer, mode=packing) as archive:  # type: ignore[call-overload]
        for line in content.splitlines()[1:]:
            path, _, data = line.partition(" ")
            entry = tarfile.TarInfo(path.rstrip("/"))
            entry.mtime = THEN
            entry.uid, entry.gid = 12, 34
            if path.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o750
                archive.addfile(entry)
            elif data.startswith("-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, data.removeprefix("-> ")
                archive.addfile(entry)
            else:
                entry.size = len(data.encode())
                archive.addfile(entry, io.BytesIO(data.encode()))
    return buffer.getvalue()


def groups() -> list[pathlib.Path]:
    """Return the files with cases."""
    return sorted(FOLDER.glob("*.txt"))
