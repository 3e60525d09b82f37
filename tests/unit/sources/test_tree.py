"""Reading a tree of manifests."""

import pathlib

import pytest

from agent.sources import api, tree


def _read(top: pathlib.Path, shown: str = "m") -> dict[str, str]:
    return {file.path: file.problem or file.data.decode() for file in tree.read(top, shown, lambda _: None)}


def _write(top: pathlib.Path, **contents: str) -> None:
    for name, text in contents.items():
        path = top / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_read__nested_directories__gives_all_files_sorted_as_the_user_typed_them(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, b="2", a__z="1", a__b__c="0")
    found = tree.read(tmp_path, "./manifests", lambda _: None)
    assert [file.path for file in found] == ["./manifests/a/b/c.yaml", "./manifests/a/z.yaml", "./manifests/b.yaml"]
    assert [file.directory for file in found] == [f"{tmp_path}/a/b", f"{tmp_path}/a", f"{tmp_path}"]


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
    assert list(_read(tmp_path).values()) == ["lies deeper than 40 directories"]


def test_read__a_name_that_is_not_utf8__is_read(tmp_path: pathlib.Path) -> None:
    pathlib.Path(str(tmp_path) + "/\udcff.yaml").write_text("1")
    assert list(_read(tmp_path).values()) == ["1"]
    assert tree.revision(tree.read(tmp_path, "m", lambda _: None), "m").startswith("dir:sha256:")


def test_read__nothing_there__is_unavailable_and_not_empty(tmp_path: pathlib.Path) -> None:
    with pytest.raises(api.SourceUnavailable, match=r"^m cannot be read: no such file or directory"):
        _read(tmp_path / "gone")


def test_read__an_empty_directory__is_empty(tmp_path: pathlib.Path) -> None:
    assert _read(tmp_path) == {}


def test_read__a_file_that_has_a_stand_in__is_not_read(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, a="half", b="2")
    before = api.SourceFile("m/a.yaml", "/", b"whole")

    def stand_in(entry: tree.Entry) -> tuple[api.SourceFile, ...] | None:
        return (before,) if entry.relative == "a.yaml" else None

    assert [file.data for file in tree.read(tmp_path, "m", stand_in)] == [b"whole", b"2"]
    assert [file.data for file in tree.read(tmp_path, "m", lambda entry: () if entry.relative[0] == "a" else None)] == [
        b"2"
    ]


def _revision(*files: api.SourceFile, shown: str = "m") -> str:
    return tree.revision(files, shown)


def test_revision__same_content_elsewhere__is_the_same() -> None:
    one = _revision(api.SourceFile("m/a.yaml", "/one", b"1"))
    assert one == _revision(api.SourceFile("/srv/m/a.yaml", "/two", b"1"), shown="/srv/m")
    assert one.startswith("dir:sha256:")
    assert len(one) == len("dir:sha256:") + 12


def test_revision__content_name_or_problem_differ__is_another() -> None:
    found = {
        _revision(api.SourceFile("m/a.yaml", "/", b"1")),
        _revision(api.SourceFile("m/a.yaml", "/", b"2")),
        _revision(api.SourceFile("m/b.yaml", "/", b"1")),
        _revision(api.SourceFile("m/a.yaml", "/", b"", "too large")),
        _revision(api.SourceFile("m/a.yaml", "/", b"1"), api.SourceFile("m/b.yaml", "/", b"")),
        _revision(api.SourceFile("m/a.yam", "/", b"l1")),
    }
    assert len(found) == 6
