"""What is noticed of external inputs, wherever they lie."""

import errno
import logging
import os
import pathlib
import threading
from collections.abc import Iterable, Iterator

import pytest
from watchdog import events

from agent.model.external_input import ExternalInput, InputKind
from agent.sources import input_watch


class Hints:
    """Counts hints, and waits for them."""

    def __init__(self) -> None:
        self._arrived = threading.Event()

    def note(self) -> None:
        """Take a hint in."""
        self._arrived.set()

    def has_come(self, within: float = 5.0) -> bool:
        """Return whether one came since the last call."""
        arrived = self._arrived.wait(within)
        self._arrived.clear()
        return arrived


def _files(paths: Iterable[str]) -> list[ExternalInput]:
    return [ExternalInput(InputKind.ENV_FILE, path) for path in paths]


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def watch(hints: Hints) -> Iterator[input_watch.InputWatch]:
    watch = input_watch.InputWatch(hints.note)
    yield watch
    watch.stop()


def test_watch__file_written_replaced_removed_and_created__hints_each_time(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "web.env"
    path.write_text("A=1\n")
    watch.follow(_files([str(path)]))
    path.write_text("A=2\n")
    assert hints.has_come()
    (tmp_path / "new").write_text("A=3\n")
    (tmp_path / "new").rename(path)
    assert hints.has_come()
    path.unlink()
    assert hints.has_come()
    path.write_text("A=4\n")
    assert hints.has_come()


def test_watch__another_file_of_the_directory__is_no_hint(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "web.env"
    watch.follow(_files([str(path)]))
    watch.dispatch(events.FileClosedEvent(str(tmp_path / "other")))
    assert not hints.has_come(0)
    watch.dispatch(events.FileClosedEvent(str(path)))
    assert hints.has_come(0)


def test_watch__directory_is_missing__hints_when_it_comes(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "a" / "b" / "web.env"
    watch.follow(_files([str(path)]))
    path.parent.mkdir(parents=True)
    assert hints.has_come()
    watch.follow(_files([str(path)]))
    path.write_text("A=1\n")
    assert hints.has_come()


def test_watch__what_a_symlink_leads_to__hints_too(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    real, shown = tmp_path / "real" / "web.env", tmp_path / "shown" / "web.env"
    real.parent.mkdir()
    shown.parent.mkdir()
    real.write_text("A=1\n")
    shown.symlink_to(real)
    watch.follow(_files([str(shown)]))
    real.write_text("A=2\n")
    assert hints.has_come()


def test_watch__oci_layout__hints_when_its_index_is_replaced(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    watch.follow(_files([str(tmp_path)]))
    (tmp_path / "index.new").write_text("{}")
    (tmp_path / "index.new").rename(tmp_path / "index.json")
    assert hints.has_come()


def test_watch__context_of_a_build__hints_for_all_below_that_is_not_left_out(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    context, dockerfile = tmp_path / "app", tmp_path / "elsewhere" / "Dockerfile"
    for folder in (context / "src" / "deep", context / "logs", dockerfile.parent):
        folder.mkdir(parents=True)
    (context / ".dockerignore").write_text("logs\n")
    watch.follow([ExternalInput(InputKind.BUILD, str(context), dockerfile=str(dockerfile))])
    (context / "src" / "deep" / "main.c").write_text("1")
    assert hints.has_come()
    dockerfile.write_text("FROM scratch")
    assert hints.has_come()
    assert watch._is_relevant(str(context / ".dockerignore"))
    assert not watch._is_relevant(str(context / "logs" / "a.log"))
    assert not watch._is_relevant(str(dockerfile.parent / "other"))
    watch.follow([])
    assert not watch._is_relevant(str(context / "src" / "deep" / "main.c"))


def test_watch__path_no_longer_followed__is_not_watched(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    first, second = tmp_path / "1" / "a", tmp_path / "2" / "b"
    for path in (first, second):
        path.parent.mkdir()
    watch.follow(_files([str(first), str(second)]))
    watch.follow(_files([str(second)]))
    assert set(watch._watches) == {str(second.parent)}
    first.write_text("1")
    second.write_text("1")
    assert hints.has_come()


def test_watch__directory_was_replaced__the_new_one_is_watched(
    watch: input_watch.InputWatch, hints: Hints, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "a" / "web.env"
    path.parent.mkdir()
    watch.follow(_files([str(path)]))
    path.parent.rename(tmp_path / "before")
    path.parent.mkdir()
    watch.follow(_files([str(path)]))
    path.write_text("A=1\n")
    assert hints.has_come()


def test_watch__more_directories_than_may_be__are_bounded(
    watch: input_watch.InputWatch, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_watch, "MOST_DIRECTORIES", 2)
    for name in "abcd":
        (tmp_path / name).mkdir()
    watch.follow(_files([str(tmp_path / name / "file") for name in "abcd"]))
    assert len(watch._watches) == 2


@pytest.mark.parametrize(
    ("number", "sysctl"),
    [(errno.EMFILE, "fs.inotify.max_user_instances"), (errno.ENOSPC, "fs.inotify.max_user_watches")],
)
def test_watch__kernel_allows_no_watch__says_which_limit_once_and_watches_later(
    watch: input_watch.InputWatch,
    hints: Hints,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    number: int,
    sysctl: str,
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    caplog.set_level(logging.INFO)
    path = tmp_path / "web.env"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_watch.observers.Observer, "schedule", refused)
        for _ in range(3):
            watch.follow(_files([str(path), "/etc/other"]))
    (blind,) = [record.getMessage() for record in caplog.records]
    assert blind.endswith(f"its files are looked at now and then until it is; raise {sysctl}")
    watch.follow(_files([str(path)]))
    assert caplog.records[-1].getMessage().endswith("is watched again")
    path.write_text("A=1\n")
    assert hints.has_come()
