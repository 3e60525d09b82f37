"""``cp`` as it is typed, over a runtime that keeps trees in folders."""

import contextlib
import io
import os
import pathlib
import stat
import sys
import tarfile
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest

from agent import app, errors
from agent.cli import main
from agent.engine.containers import tree_reader, tree_writer
from agent.engine.kernel import linux
from agent.runtime import files


class Containers:
    """The role ``Files`` over a folder: what the engine's own process does, done here."""

    def __init__(self, root: pathlib.Path) -> None:
        self.tree = tree_reader.Tree(linux.LinuxKernel(), os.open(root, os.O_PATH), "container web")

    @contextlib.asynccontextmanager
    async def copy_out(self, ref: str, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Return an archive in small pieces."""
        assert ref == "web"
        files.check_path(path)
        out = io.BytesIO()
        tree_reader.write_archive(self.tree, path, out)

        async def pieces() -> AsyncIterator[bytes]:
            out.seek(0)
            while piece := out.read(5000):
                yield piece

        yield pieces()

    async def copy_in(self, ref: str, path: str, archive: AsyncIterable[bytes]) -> None:
        """Unpack an archive."""
        assert ref == "web"
        self.tree.open(path, 0)
        data = b"".join([piece async for piece in archive])
        tree_writer.read_archive(self.tree, path, io.BytesIO(data))


@pytest.fixture
def root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The root of container ``web``."""
    inside = tmp_path / "inside"
    (inside / "data" / "sub").mkdir(parents=True)
    (inside / "data" / "sub" / "file").write_text("content")
    (inside / "data" / "sub" / "file").chmod(0o4755)
    (inside / "data" / "link").symlink_to("/etc/passwd")

    class Runtime:
        containers = Containers(inside)

    @contextlib.asynccontextmanager
    async def opened(*_: Any, **__: Any) -> AsyncIterator[Runtime]:
        yield Runtime()

    monkeypatch.setattr(app, "open_runtime", opened)
    monkeypatch.chdir(tmp_path)
    return inside


def run(*words: str) -> int:
    """Type a command."""
    return main.main(["--root", "/nowhere/trimtab", "cp", *words])


def test_out__into_a_folder__under_its_own_name(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert root.exists()
    (tmp_path / "here").mkdir()
    assert run("web:/data", "here") == 0
    copied = tmp_path / "here" / "data"
    assert (copied / "sub" / "file").read_text() == "content"
    assert (copied / "sub" / "file").stat().st_mode & 0o7777 == 0o755
    assert str((copied / "link").readlink()) == "/etc/passwd"


def test_out__to_another_name__is_called_so(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert root.exists()
    assert run("web:/data/sub/file", "other") == 0
    assert (tmp_path / "other").read_text() == "content"
    assert run("web:/data", str(tmp_path / "folder")) == 0
    assert (tmp_path / "folder" / "sub" / "file").read_text() == "content"


def test_out__to_standard_output__is_an_archive(root: pathlib.Path, capfdbinary: Any) -> None:
    assert root.exists()
    assert run("web:/data/sub", "-") == 0
    with tarfile.open(fileobj=io.BytesIO(capfdbinary.readouterr().out)) as archive:
        assert archive.getnames() == ["sub", "sub/file"]


def test_into__a_folder_a_name_and_in_place_of_a_file(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "new").write_text("new")
    assert run("new", "web:/data") == 0
    assert run("./new", "web:/data/called") == 0
    assert run(str(tmp_path / "new"), "web:/data/sub/file") == 0
    for path in ("new", "called", "sub/file"):
        assert (root / "data" / path).read_text() == "new"
    status = (root / "data" / "new").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)


def test_into__a_folder_with_all_that_is_in_it(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "large").write_bytes(os.urandom(300_000))
    assert run("tree", "web:/data") == 0
    copied = root / "data" / "tree" / "below" / "large"
    assert copied.read_bytes() == (tmp_path / "tree" / "below" / "large").read_bytes()


def test_out__what_is_in_a_folder__goes_into_one_that_is_there(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert root.exists()
    (tmp_path / "here").mkdir()
    assert run("web:/data/.", "here") == 0
    assert run("web:/data/.", "new") == 0
    for folder in ("here", "new"):
        assert (tmp_path / folder / "sub" / "file").read_text() == "content"


def test_out__to_a_name_with_a_slash__is_a_folder_or_refused(
    root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.exists()
    assert run("web:/data", "folder/") == 0
    assert (tmp_path / "folder" / "sub" / "file").exists()
    assert run("web:/data/sub/file", "file/") == 1
    assert "there is no folder file" in capsys.readouterr().err
    assert not (tmp_path / "file").exists()


def test_out__to_a_link__is_where_it_leads(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert root.exists()
    (tmp_path / "current").symlink_to("real")
    assert run("web:/data/sub/file", "current") == 0
    assert (tmp_path / "real").read_text() == "content"
    assert (tmp_path / "current").is_symlink()


def test_out__a_folder_in_place_of_a_file__is_refused_by_its_own_path(
    root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.exists()
    (tmp_path / "file").write_text("mine")
    assert run("web:/data", str(tmp_path / "file")) == 1
    assert f"{tmp_path / 'file'} cannot be written: what is there is no directory" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.root
def test_out__devices__are_left_out_and_named(
    root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mknod(root / "data" / "a\x1b[31m", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (root / "data" / "b").hardlink_to(root / "data" / "a\x1b[31m")
    assert run("web:/data", "copy") == 0
    assert capsys.readouterr().err == "left out, for they are devices: data/a\\x1b[31m and 1 more\n"
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["link", "sub"]
    assert run("web:/data/b", "copy") == 1
    assert "b is a device: it is not copied" in capsys.readouterr().err


def test_out__a_time_that_only_a_tmpfs_keeps__is_no_failure(
    root: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("file")
        entry.mtime = 2**63 - 1
        archive.addfile(entry)
    monkeypatch.setattr(tree_reader, "write_archive", lambda _tree, _path, sink: sink.write(out.getvalue()))
    assert root.exists()
    assert run("web:/data/sub/file", "here") == 0
    assert (tmp_path / "here").exists()


def test_out__an_archive_of_nonsense__is_said_to_be_none(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("file")
        entry.pax_headers = {"path": "a\0b"}
        archive.addfile(entry)
    monkeypatch.setattr(tree_reader, "write_archive", lambda _tree, _path, sink: sink.write(out.getvalue()))
    assert root.exists()
    pathlib.Path("folder").mkdir()
    assert run("web:/data/sub/file", "folder") == 1
    assert "the copy is no whole archive" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["tree/.", "tree/./.", "."])
def test_into__what_is_in_a_folder__goes_into_one_that_is_there(
    root: pathlib.Path, tmp_path: pathlib.Path, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    if typed == ".":
        monkeypatch.chdir(tmp_path / "tree")
    assert run(typed, "web:/data") == 0
    assert (root / "data" / "below").is_dir()
    assert run(typed, "web:/data/new/") == 0
    assert (root / "data" / "new" / "below").is_dir()


def test_into__a_link__is_one_there_and_with_a_slash_is_what_it_leads_to(
    root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "way").symlink_to("tree")
    assert run("way", "web:/data") == 0
    assert str((root / "data" / "way").readlink()) == "tree"
    assert run("way/", "web:/data/followed") == 0
    assert (root / "data" / "followed" / "below").is_dir()
    assert run("tree/below/..", "web:/data") == 0
    assert (root / "data" / "tree" / "below").is_dir()


def test_into__a_file_for_a_folder_that_is_not_there__is_refused(
    root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert run("file", "web:/data/none/") == 1
    assert "exec web ls -la /data shows what is there" in capsys.readouterr().err
    assert not (root / "data" / "none").exists()


@pytest.mark.root
def test_into__sockets_and_devices__are_refused_and_left_out_of_folders(
    root: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree").mkdir()
    os.mknod(tmp_path / "tree" / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(tmp_path / "tree" / "socket", 0o600 | stat.S_IFSOCK)
    for name in ("device", "socket"):
        assert run(f"tree/{name}", "web:/data") == 1
        assert f"tree/{name} is a {name}: it is not copied" in capsys.readouterr().err
    assert run("tree", "web:/data") == 0
    assert list((root / "data" / "tree").iterdir()) == []


def test_into__from_standard_input(root: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        (tmp_path / "member").write_text("member")
        archive.add(tmp_path / "member", "member")
    with (tmp_path / "a.tar").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("-", "web:/data") == 0
    assert (root / "data" / "member").read_text() == "member"


def test_into__nothing_on_standard_input__is_no_archive_for_any_engine(
    root: pathlib.Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.exists()
    with pathlib.Path(os.devnull).open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("-", "web:/data") == 1
    assert "nothing came on standard input" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["web:/data", "other:/data"], 64, "one of both is NAME:PATH"),
        (["here", "there"], 64, "one of both is NAME:PATH"),
        (["web:data", "x"], 64, "begins with /"),
        (["missing", "web:/data"], 1, "there is no file missing"),
        (["web:/data", "missing/x"], 1, "there is no folder missing"),
        (["web:/missing", "x"], 1, "there is no /missing in container web"),
        (["inside", "web:/missing/deep/er"], 1, "there is no /missing/deep in container web"),
    ],
)
def test_typed_wrongly__says_what_is_wrong(
    root: pathlib.Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.exists()
    assert run(*words) == code
    assert message in capsys.readouterr().err


def test_out__an_archive_that_a_container_has_made_up__does_not_lead_out(
    root: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine's answer is as hostile as the container that it comes from."""
    outside, here = tmp_path / "outside", tmp_path / "here"
    outside.mkdir()
    here.mkdir()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("data")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        planted = tarfile.TarInfo("data/planted")
        archive.addfile(planted)
        archive.addfile(tarfile.TarInfo("../../outside/planted"))
    monkeypatch.setattr(tree_reader, "write_archive", lambda _tree, _path, sink: sink.write(out.getvalue()))
    assert root.exists()
    assert run("web:/data", "here") == 1
    assert list(outside.iterdir()) == []


def test_the_roles_errors__are_told_as_they_are(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fail(*_: object) -> None:
        raise errors.Conflict("it does not want to", hint="ask again")

    monkeypatch.setattr(tree_reader, "write_archive", fail)
    assert root.exists()
    assert run("web:/data", "x") == 1
    output = capsys.readouterr().err
    assert "it does not want to" in output
    assert "ask again" in output
