"""Reading a tree of manifests."""

import errno
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

import pytest

from agent.kit import writers
from agent.sources import api, files, tree


def _files(top: pathlib.Path, shown: str = "m") -> list[api.SourceFile]:
    return [reading.file for reading in tree.Reader(top, shown, lambda _: None).read(lambda _: False)]


def _read(top: pathlib.Path, shown: str = "m") -> dict[str, str]:
    return {file.path: file.problem or file.data.decode() for file in _files(top, shown)}


def _write(top: pathlib.Path, **contents: str) -> None:
    for name, text in contents.items():
        path = top / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_read__nested_directories__gives_all_files_sorted_as_the_user_typed_them(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, b="2", a__z="1", a__b__c="0")
    files_read = sorted(_files(tmp_path, "./manifests"), key=lambda file: file.path)
    assert [file.path for file in files_read] == [
        "./manifests/a/b/c.yaml",
        "./manifests/a/z.yaml",
        "./manifests/b.yaml",
    ]
    assert [file.directory for file in files_read] == [f"{tmp_path}/a/b", f"{tmp_path}/a", f"{tmp_path}"]


def test_read__a_file_is_read_late__counts_as_no_older_than_those_that_were_written_before(
    tmp_path: pathlib.Path,
) -> None:
    """Otherwise it is accepted before what it stands on: a container before its network."""
    _write(tmp_path, network="1")
    _write(tmp_path, web="2")

    def accepted(path: str) -> None:
        time.sleep(0.05 if path.endswith("web.yaml") else 0)

    ages = [reading.age for reading in tree.Reader(tmp_path, "m", accepted).read(lambda _: False)]
    assert ages == sorted(ages, reverse=True)


def test_read__a_single_file__is_the_source(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, a="1")
    assert _read(tmp_path / "a.yaml", "m/a.yaml") == {"m/a.yaml": "1"}


def test_read__a_single_file_of_any_name__is_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "what-i-said").write_text("1")
    assert _read(tmp_path / "what-i-said", "what-i-said") == {"what-i-said": "1"}


def test_read__hidden_directories_and_scratch_files__are_passed_over(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, a="1")
    _write(tmp_path / ".git", hooks__x="no")
    (tmp_path / "a.yaml~").write_text("no")
    assert _read(tmp_path) == {"m/a.yaml": "1"}


def test_read__a_config_map_mount__is_read_through_its_symlinks(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / "..2026_01_01", web="new", sub__db="db")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "web.yaml").symlink_to("..data/web.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")
    assert _read(tmp_path) == {"m/sub/db.yaml": "db", "m/web.yaml": "new"}


def test_read__symlinks_in_a_loop__ends_and_reads_each_directory_once(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, a="1", sub__b="2")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "self").symlink_to(".")
    (tmp_path / "twice").symlink_to("sub")
    assert _read(tmp_path) == {"m/a.yaml": "1", "m/sub/b.yaml": "2"}


def test_read__a_dangling_symlink__is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere")
    assert _read(tmp_path) == {"m/a.yaml": files.DANGLING}


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("nowhere", files.DANGLING),
        ("nowhere/hosts", files.DANGLING),
        ("hosts", "this symlink leads round in a circle"),
        ("a.yaml/hosts", files.DANGLING),
        ("x" * 300, "cannot be read: file name too long"),
    ],
)
@pytest.mark.parametrize("name", ["hosts", "hosts.yaml", "notes.txt"])
def test_read__a_link_that_could_be_to_a_directory__is_a_problem_whatever_its_name_is(
    tmp_path: pathlib.Path, name: str, target: str, problem: str
) -> None:
    _write(tmp_path, a="1")
    (tmp_path / name).symlink_to(target if target != "hosts" else name)
    assert _read(tmp_path) == {"m/a.yaml": "1", f"m/{name}": problem}


def test_read__dangling_links_with_names_that_are_passed_over__are_passed_over(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, a="1")
    for name in (".#a.yaml", "..data", "a.yaml.bak", "#a.yaml#", "4913"):
        (tmp_path / name).symlink_to("nowhere")
    assert _read(tmp_path) == {"m/a.yaml": "1"}


@pytest.fixture
def lockable() -> Iterator[pathlib.Path]:
    """A directory whose permissions hold for this test, too: root has no privileges meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        pathlib.Path(name).chmod(0o777)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield pathlib.Path(name)
        finally:
            os.seteuid(before)


def test_read__what_permissions_hide__is_a_problem_of_each_kind(lockable: pathlib.Path) -> None:
    top, away = lockable / "top", lockable / "away"
    _write(top, a="1", unlisted__b="2", unsearched__c__d="3")
    (top / "unsearched" / "e.txt").write_text("")
    _write(away, inner__f="4")
    (top / "hosts").symlink_to(away / "inner")
    folders = {away: 0o000, top / "unlisted": 0o300, top / "unsearched": 0o600}
    for folder, mode in folders.items():
        folder.chmod(mode)
    try:
        denied = "cannot be read: permission denied"
        expected = {"m/a.yaml": "1", "m/hosts": denied, "m/unlisted": denied, "m/unsearched/c": denied}
        assert _read(top) == expected
    finally:
        for folder in folders:
            folder.chmod(0o700)


class _Refused:
    """An entry of a directory that a disk or server gives no answer for."""

    def __init__(self, folder: pathlib.Path, name: str, number: int) -> None:
        self.name = name
        self.path = str(folder / name)
        self._number = number

    def is_dir(self) -> bool:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ELOOP, errno.ENOTCONN, errno.EHOSTDOWN]
)
def test_read__an_entry_that_cannot_be_looked_at__is_a_problem_whatever_its_name_is(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refused = [_Refused(tmp_path, name, number) for name in ("hosts", "web.yaml", "notes.txt", ".hidden")]
    monkeypatch.setattr(tree, "_list", lambda _: refused)
    problems = _read(tmp_path)
    assert problems.keys() == {"m/hosts", "m/web.yaml", "m/notes.txt"}
    assert all(problems.values())


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_read__a_folder_that_cannot_be_listed_any_more__is_a_problem(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _write(tmp_path, a="1", hosts__b="2")
    really_list = tree._list

    def refuse(folder: pathlib.Path) -> list[os.DirEntry[str]]:
        if folder.name == "hosts":
            raise OSError(number, os.strerror(number))
        return really_list(folder)

    monkeypatch.setattr(tree, "_list", refuse)
    assert _read(tmp_path) == {"m/a.yaml": "1", "m/hosts": f"cannot be read: {os.strerror(number).lower()}"}


@pytest.mark.parametrize("victim", ["hosts", "notes.txt", "link", "a.yaml"])
def test_read__removed_since_it_was_listed__is_simply_gone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    _write(tmp_path, a="1", hosts__b="2", z="3")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "link").symlink_to("z.yaml")
    really_list = tree._list

    def remove_after(folder: pathlib.Path) -> list[os.DirEntry[str]]:
        listing = really_list(folder)
        if folder == tmp_path:
            path = tmp_path / victim
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return listing

    expected = {path: text for path, text in _read(tmp_path).items() if not path.startswith(f"m/{victim}")}
    monkeypatch.setattr(tree, "_list", remove_after)
    assert _read(tmp_path) == expected


def test_read__a_mount_goes_since_the_link_to_it_was_listed__is_a_problem(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, mounted = tmp_path / "top", tmp_path / "mounted"
    _write(top, a="1")
    _write(mounted, b="2")
    (top / "hosts").symlink_to(mounted)
    really_list = tree._list

    def unmount(folder: pathlib.Path) -> list[os.DirEntry[str]]:
        if folder.name == "hosts":
            shutil.rmtree(mounted)
        return really_list(folder)

    monkeypatch.setattr(tree, "_list", unmount)
    assert _read(top) == {"m/a.yaml": "1", "m/hosts": files.DANGLING}


def test_read__too_deep__is_told(tmp_path: pathlib.Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 45)
    deep.mkdir(parents=True)
    assert list(_read(tmp_path).values()) == ["lies deeper than directories may (source.depth)"]


def test_read__a_name_that_is_not_utf8__is_read(tmp_path: pathlib.Path) -> None:
    pathlib.Path(str(tmp_path) + "/\udcff.yaml").write_text("1")
    assert list(_read(tmp_path).values()) == ["1"]
    assert tree.revision(_files(tmp_path), "m").startswith("dir:sha256:")


def test_read__nothing_there__is_unavailable_and_not_empty(tmp_path: pathlib.Path) -> None:
    with pytest.raises(api.SourceUnavailable, match=r"^m cannot be read: no such file or directory"):
        _read(tmp_path / "gone")


def test_read__an_empty_directory__is_empty(tmp_path: pathlib.Path) -> None:
    assert _read(tmp_path) == {}


def test_look__somebody_writes__is_told_by_the_kernel(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, a="1", b="2")
    reader = tree.Reader(tmp_path, "m", {"m/b.yaml": b"2"}.get)
    with (tmp_path / "a.yaml").open("a"), (tmp_path / "b.yaml").open("a"):
        assert [reading.writer for reading in reader.read(lambda _: False)] == [
            writers.Writer.OPEN,
            writers.Writer.NONE,
        ]
    assert [reading.writer for reading in reader.read(lambda _: True)] == [writers.Writer.NONE, writers.Writer.NONE]


def _revision(*files: api.SourceFile, shown: str = "m") -> str:
    return tree.revision(files, shown)


def test_revision__same_content_elsewhere__is_the_same() -> None:
    first = _revision(api.SourceFile("m/a.yaml", "/one", b"1"))
    assert first == _revision(api.SourceFile("/srv/m/a.yaml", "/two", b"1"), shown="/srv/m")
    assert first.startswith("dir:sha256:")
    assert len(first) == len("dir:sha256:") + 12


def test_revision__content_name_or_problem_differ__is_another() -> None:
    revisions = {
        _revision(api.SourceFile("m/a.yaml", "/", b"1")),
        _revision(api.SourceFile("m/a.yaml", "/", b"2")),
        _revision(api.SourceFile("m/b.yaml", "/", b"1")),
        _revision(api.SourceFile("m/a.yaml", "/", b"", "too large")),
        _revision(api.SourceFile("m/a.yaml", "/", b"1"), api.SourceFile("m/b.yaml", "/", b"")),
        _revision(api.SourceFile("m/a.yam", "/", b"l1")),
    }
    assert len(revisions) == 6


@pytest.mark.parametrize("target", ["/", ".."])
def test_read__a_link_to_what_the_source_lies_in__is_a_problem_of_its_own(tmp_path: pathlib.Path, target: str) -> None:
    top = tmp_path / "manifests"
    _write(top, web="1")
    (tmp_path / "beside.yaml").write_text("2")
    (top / "up").symlink_to(target)
    problem = "this symlink leads to a directory that the source lies in: it is not followed"
    assert _read(top) == {"m/up": problem, "m/web.yaml": "1"}


def test_read__a_link_into_proc__leaves_the_others_as_they_are(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, web="1")
    (tmp_path / "k.yaml").symlink_to("/proc/kmsg")
    files_read = _read(tmp_path)
    assert files_read["m/web.yaml"] == "1"
    assert files_read["m/k.yaml"]
