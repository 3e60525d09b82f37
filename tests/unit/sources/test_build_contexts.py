"""What tells that a build's files have changed."""

import dataclasses
import os
import pathlib
import socket
import time
from collections.abc import Callable

import pytest

from agent.model.external_input import ExternalInput, InputKind, InputState, SourceFolder
from agent.sources import build_contexts, external_inputs


@pytest.fixture
def external(tmp_path: pathlib.Path) -> ExternalInput:
    """A build's files: a context with a Dockerfile, a directory and a link, without what is left out."""
    context = tmp_path / "app"
    (context / "src").mkdir(parents=True)
    (context / "src" / "main.c").write_text("1")
    (context / "Dockerfile").write_text("FROM scratch")
    (context / ".dockerignore").write_text("logs\n*.md\n!kept.md\n")
    (context / "logs").mkdir()
    (context / "logs" / "a").write_text("1")
    (context / "logs" / "kept.md").write_text("1")
    (context / "link").symlink_to("src")
    return ExternalInput(InputKind.BUILD, str(context), dockerfile=str(context / "Dockerfile"))


def fingerprint(external: ExternalInput) -> str:
    return external_inputs.read([external])[external].fingerprint


def _replace(path: pathlib.Path, text: str) -> None:
    path.with_name("new").write_text(text)
    path.with_name("new").rename(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "src" / "main.c").write_text("2"),
        lambda top: _replace(top / "src" / "main.c", "2"),
        lambda top: (top / "src" / "new.c").write_text(""),
        lambda top: (top / "src" / "main.c").unlink(),
        lambda top: (top / "src" / "main.c").chmod(0o755),
        lambda top: (top / "src").chmod(0o700),
        lambda top: (top / "empty").mkdir(),
        lambda top: (top / "Dockerfile").write_text("FROM scratch\n"),
        lambda top: (top / ".dockerignore").write_text("logs\n*.md\n"),
        lambda top: (top / "Dockerfile.dockerignore").write_text("src"),
        lambda top: ((top / "link").unlink(), (top / "link").symlink_to("logs")),
        lambda top: os.mkfifo(top / "pipe"),
        lambda top: (top / "kept.md").write_text(""),
    ],
)
def test_fingerprint__anything_that_is_sent_has_changed__is_another(
    external: ExternalInput, change: Callable[[pathlib.Path], object]
) -> None:
    before = fingerprint(external)
    assert before == fingerprint(external)
    change(pathlib.Path(external.path))
    assert fingerprint(external) != before


def test_fingerprint__what_is_left_out_and_sockets__do_not_count(external: ExternalInput) -> None:
    top = pathlib.Path(external.path)
    before = fingerprint(external)
    (top / "logs" / "b").write_text("1")
    (top / "README.md").write_text("1")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(top / "s"))
        assert fingerprint(external) == before


def test_fingerprint__dockerfile_outside__counts_also_where_it_comes_late(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app").mkdir()
    external = ExternalInput(InputKind.BUILD, str(tmp_path / "app"), dockerfile=str(tmp_path / "Dockerfile"))
    before = fingerprint(external)
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    assert fingerprint(external) != before


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("missing", ""),  # the runtime says so
        ("file", ""),
        ("a\0b", "is no path"),
    ],
)
def test_read__no_directory__has_no_fingerprint_and_says_why(tmp_path: pathlib.Path, path: str, problem: str) -> None:
    (tmp_path / "file").touch()
    external = ExternalInput(InputKind.BUILD, str(tmp_path / path), dockerfile=str(tmp_path / "Dockerfile"))
    state = external_inputs.read([external])[external]
    assert (state.fingerprint, state.problem) == ("", problem)


def test_read__more_than_is_looked_at__says_so(external: ExternalInput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_contexts, "MOST_ENTRIES", 3)
    state = external_inputs.read([external])[external]
    assert (state.fingerprint, state.problem) == ("", "has more than 3 files")


def test_read__content__is_not_kept(external: ExternalInput) -> None:
    state = external_inputs.read([external])[external]
    assert state == InputState(state.fingerprint)


def test_tracker__files_that_change_in_a_burst__count_once_they_rest(external: ExternalInput) -> None:
    tracker = external_inputs.InputTracker()
    before = tracker.read([external])[external]
    time.sleep(0.2)  # the files are old: without more changes they would count at once
    (pathlib.Path(external.path) / "src" / "main.c").write_text("2")
    assert tracker.read([external])[external] == before
    assert tracker.next_reading_in == pytest.approx(0.1, abs=0.1)
    time.sleep(0.15)
    assert tracker.read([external])[external] != before


def test_read__changed_while_a_long_walk_went_on__has_not_rested(
    external: ExternalInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = build_contexts.observe

    def observe_slowly(seen: ExternalInput) -> build_contexts.Observed:
        (pathlib.Path(external.path) / "src" / "main.c").write_text("2")
        observed = observe(seen)
        time.sleep(0.3)
        return observed

    tracker = external_inputs.InputTracker()
    before = tracker.read([external])[external]
    monkeypatch.setattr(build_contexts, "observe", observe_slowly)
    assert tracker.read([external])[external] == before
    assert tracker.next_reading_in == pytest.approx(0.1, abs=0.05)


def test_tracker__context_that_never_rests__counts_as_it_is_after_a_while(external: ExternalInput) -> None:
    tracker = external_inputs.InputTracker()

    def take(fingerprint: str, now: float) -> str:
        reading = external_inputs.InputReading(InputState(fingerprint))
        return tracker.take({external: reading}, now)[external].fingerprint

    assert take("0", 0.0) == "0"
    seen = [take(str(number), number * 0.05) for number in range(1, 240)]
    assert seen[: int(external_inputs.NEVER_RESTS / 0.05)] == ["0"] * 100
    assert "0" not in seen[101:]
    assert len(set(seen)) == 3, "it is accepted again and again, and not each time"


def test_rules__dockerfile_without_a_name__is_no_crash(tmp_path: pathlib.Path) -> None:
    external = ExternalInput(InputKind.BUILD, str(tmp_path), dockerfile="/")
    assert fingerprint(external)
    assert not build_contexts.rules_of(external).includes("/elsewhere")


def test_tracker__files_of_a_commit__count_with_it_at_once(external: ExternalInput) -> None:
    committed = SourceFolder(external.path, lambda _: "1")
    external = dataclasses.replace(external, within=committed)
    tracker = external_inputs.InputTracker()
    before = tracker.read([external])[external]
    (pathlib.Path(external.path) / "src" / "main.c").write_text("2")
    assert tracker.read([external])[external] != before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("..data/x", True), ("..env", True), ("src/x", True), ("logs/x", False)),
        *(("logs/a/kept.md", False), ("kept.md", True), ("../x", False), (".", False)),
    ],
)
def test_rules__paths__belong_to_the_context_or_not(external: ExternalInput, name: str, expected: bool) -> None:
    assert build_contexts.rules_of(external).includes(str(pathlib.Path(external.path, name))) is expected


def test_rules__bad_patterns__leave_nothing_out(external: ExternalInput) -> None:
    (pathlib.Path(external.path) / ".dockerignore").write_text("[")
    assert build_contexts.rules_of(external).patterns.patterns == ()
