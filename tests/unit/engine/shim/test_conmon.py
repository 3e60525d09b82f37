"""What conmon leaves, and that exactly the processes of a bundle are killed."""

import asyncio
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

from agent import errors
from agent.engine.shim import conmon, oci_runtime
from tests import hanging

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes that wait, with words on their command lines; all are gone afterwards."""
    started = []

    def begin(*words: str) -> "subprocess.Popen[bytes]":
        script = "echo; read line"  # what it says comes after exec, which is not yet done when Popen returns
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(["/bin/sh", "-c", script, "sh", *words], **pipes)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def bundle(tmp_path: pathlib.Path, name: str = "b1") -> pathlib.Path:
    """Make a bundle's folder."""
    path = tmp_path / name
    path.mkdir()
    return path


def test_end__pid_is_told__kills_it(start, tmp_path) -> None:
    folder = bundle(tmp_path)
    monitor = start("--bundle", str(folder))
    (folder / "conmon.pid").write_text(str(monitor.pid))
    conmon.end(folder)
    assert monitor.wait() == -9


def test_end__pid_was_given_out_again__leaves_the_other_alone(start, tmp_path) -> None:
    folder = bundle(tmp_path)
    strangers = [start("--bundle", str(bundle(tmp_path, "b2"))), start(str(folder), "--bundle"), start("--bundle")]
    for stranger in strangers:
        (folder / "conmon.pid").write_text(str(stranger.pid))
        conmon.end(folder)
    assert [stranger.poll() for stranger in strangers] == [None, None, None]


@pytest.mark.parametrize("pid_text", [None, "", "soon"])
def test_end__cut_short_before_it_told_its_pid__is_found_with_its_children(
    start, tmp_path, pid_text: str | None
) -> None:
    folder = bundle(tmp_path)
    stranger = start("--bundle", f"{folder}2")
    both = [start("--cid", "1", "--bundle", str(folder)), start("create", "--bundle", str(folder), "1")]
    if pid_text is not None:
        (folder / "conmon.pid").write_text(pid_text)
    conmon.end(folder)
    assert [process.wait() for process in both] == [-9, -9]
    assert stranger.poll() is None


def test_end__no_bundle__looks_for_nobody(start, tmp_path) -> None:
    process = start("--bundle", str(tmp_path / "gone"))
    conmon.end(tmp_path / "gone")
    assert process.poll() is None


def test_end__ended_already__is_no_failure(start, tmp_path) -> None:
    folder = bundle(tmp_path)
    monitor = start("--bundle", str(folder))
    (folder / "conmon.pid").write_text(str(monitor.pid))
    monitor.kill()
    monitor.wait()
    conmon.end(folder)
    assert monitor.returncode == -9


def test_ending__is_the_code_and_when_it_was_written(tmp_path) -> None:
    (tmp_path / "1").write_text("137")
    os.utime(tmp_path / "1", (5.0, 5.0))
    assert conmon.ending(tmp_path, "1") == conmon.Ending(137, 5.0)


@pytest.mark.parametrize("text", [None, "", "killed"])
def test_ending__nothing_left_or_half_of_it__is_unknown(tmp_path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "1").write_text(text)
    assert conmon.ending(tmp_path, "1") == conmon.Ending(None, None)


def test_answer__a_pid__is_the_containers() -> None:
    assert conmon._created(b'{"data": 41}\n') == 41


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"{}", b'{"data": "x"}', b'{"data": null}', b"\xff"])
def test_answer__none_or_garbage__may_work_later(answer: bytes) -> None:
    with pytest.raises(errors.Unavailable, match="conmon ended without an answer"):
        conmon._created(answer)


def test_answer__refusal__is_the_runtimes_last_word() -> None:
    with pytest.raises(errors.InvalidArgument, match="cannot be started: exec /app: no such file"):
        conmon._created(b'{"data": -1, "message": "warning\\nexec /app: no such file\\n"}\n')


async def test_launch__conmon_neither_answers_nor_dies__is_given_up(tmp_path: pathlib.Path, monkeypatch) -> None:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    monkeypatch.setattr(conmon, "_PATIENCE", 0.3)
    program = tmp_path / "conmon"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    folder = bundle(tmp_path)
    runtime = oci_runtime.OciRuntime(oci_runtime.Program(pathlib.Path("/bin/crun")), tmp_path / "state")
    request = conmon.Launch(program, runtime, "c1", "web", folder, tmp_path / "log", 1000)
    with hanging.children(monkeypatch) as tracer:
        async with asyncio.timeout(15):
            with pytest.raises(TimeoutError):
                await conmon.launch(request)
        assert [f"({program}) does not end" in report for report in reported] == [True]
        assert tracer.release() == [-9]
