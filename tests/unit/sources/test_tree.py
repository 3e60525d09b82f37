"""Reading a tree of manifests."""

import pathlib

import pytest

from agent.kit import writers
from agent.sources import api, tree


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
    assert _read(tmp_path) == {"m/a.yaml": "this symlink points to nothing"}


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
