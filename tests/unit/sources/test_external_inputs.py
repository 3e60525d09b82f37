"""External inputs: what they are read as, when a change of them counts, and what is not read."""

import hashlib
import os
import pathlib
import socket
import subprocess

import pytest

from agent.kit.writers import Writer
from agent.manifests import env_file
from agent.model import external_input
from agent.model.external_input import ExternalInput, InputKind, InputState, SourceFolder
from agent.sources import external_inputs

ARCHIVE = ExternalInput(InputKind.ARCHIVE, "/srv/app.tar")
ENV_FILE = ExternalInput(InputKind.ENV_FILE, "/srv/web.env", SourceFolder("/srv"))
UNFINISHED = external_inputs.REST_PERIODS[InputKind.ARCHIVE].unfinished


def take(tracker: external_inputs.InputTracker, now: float, fingerprint: str, writer: Writer = Writer.NONE) -> str:
    """Take in an archive's fingerprint, and return the accepted one."""
    reading = external_inputs.InputReading(InputState(fingerprint), writer)
    return tracker.take({ARCHIVE: reading}, now)[ARCHIVE].fingerprint


def content(tracker: external_inputs.InputTracker, now: float, data: bytes, writer: Writer = Writer.NONE) -> bytes:
    """Take in an env file's content, and return the accepted one."""
    state = external_input.state_of(ENV_FILE, external_input.Reading(len(data), 0, 0, data))
    return tracker.take({ENV_FILE: external_inputs.InputReading(state, writer)}, now)[ENV_FILE].content


def env_file_in(folder: pathlib.Path, name: str = "web.env", top: pathlib.Path | None = None) -> ExternalInput:
    """Return an env file's input, of a source whose folder is ``top``."""
    return ExternalInput(InputKind.ENV_FILE, str(folder / name), SourceFolder(str(top or folder)))


def read(external: ExternalInput) -> InputState:
    """Read one input once."""
    return external_inputs.read([external])[external]


def test_tracker__first_reading__counts_at_once() -> None:
    assert take(external_inputs.InputTracker(), 0.0, "1") == "1"
    assert take(external_inputs.InputTracker(), 0.0, external_input.MISSING) == external_input.MISSING


def test_tracker__written_step_by_step__is_followed_when_it_rests() -> None:
    tracker = external_inputs.InputTracker()
    take(tracker, 0.0, "old")
    assert [take(tracker, now, stamp) for now, stamp in ((1.0, "a"), (1.9, "b"), (2.8, "b"))] == ["old"] * 3
    assert tracker.next_reading_in == pytest.approx(0.1)
    assert take(tracker, 2.9, "b") == "b"
    assert tracker.next_reading_in is None


def test_tracker__somebody_has_it_open_for_writing__is_what_it_was_until_that_has_been_so_for_long() -> None:
    tracker = external_inputs.InputTracker()
    take(tracker, 0.0, "old")
    assert take(tracker, 1.0, "half", Writer.OPEN) == "old"
    assert tracker.next_reading_in == 1.0
    assert take(tracker, 1.0 + UNFINISHED - 1, "half", Writer.OPEN) == "old"
    assert take(tracker, 1.0 + UNFINISHED, "half", Writer.OPEN) == "half"


def test_tracker__missing_for_a_moment__is_what_it_was() -> None:
    tracker = external_inputs.InputTracker()
    take(tracker, 0.0, "old")
    assert take(tracker, 1.0, external_input.MISSING) == "old"
    assert take(tracker, 1.5, "old") == "old"
    assert take(tracker, 2.0, external_input.MISSING) == "old"
    assert take(tracker, 3.0, external_input.MISSING) == external_input.MISSING


def test_tracker__env_file_replaced__counts_after_a_moment() -> None:
    tracker = external_inputs.InputTracker()
    content(tracker, 0.0, b"A=1")
    assert content(tracker, 1.0, b"A=2") == b"A=1"
    assert content(tracker, 1.03, b"A=2") == b"A=2"


def test_tracker__env_file_cut_in_place__is_what_it_was_until_it_has_rested() -> None:
    tracker = external_inputs.InputTracker()
    content(tracker, 0.0, b"A=1\nB=2\n")
    assert content(tracker, 1.0, b"A=1\n") == b"A=1\nB=2\n"
    assert content(tracker, 1.9, b"A=1\n") == b"A=1\nB=2\n"
    assert content(tracker, 2.0, b"A=1\n") == b"A=1\n"


def test_tracker__changed_long_ago_with_no_writer__counts_at_once() -> None:
    tracker = external_inputs.InputTracker()
    content(tracker, 0.0, b"A=1")
    state = external_input.state_of(ENV_FILE, external_input.Reading(3, 0, 0, b"A=2"))
    reading = external_inputs.InputReading(state, Writer.NONE, age=5.0)
    assert tracker.take({ENV_FILE: reading}, 1.0)[ENV_FILE].content == b"A=2"


def test_tracker__input_no_longer_declared__begins_anew_when_it_is_again() -> None:
    tracker = external_inputs.InputTracker()
    take(tracker, 0.0, "old")
    assert tracker.take({}, 1.0) == {}
    assert take(tracker, 2.0, "new") == "new"


def test_archive__rewritten__has_another_fingerprint(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"1")
    archive = ExternalInput(InputKind.ARCHIVE, str(path))
    before = read(archive).fingerprint
    os.utime(path, ns=(1, 1))
    assert read(archive).fingerprint not in {"", before}


def test_archive__an_oci_layout__is_known_by_its_index(tmp_path: pathlib.Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    assert read(ExternalInput(InputKind.ARCHIVE, str(tmp_path))).fingerprint.startswith("2-")


def test_archive__missing__has_no_fingerprint_and_no_problem() -> None:
    assert read(ExternalInput(InputKind.ARCHIVE, "/nowhere/a.tar")) == InputState(external_input.MISSING)


def test_archive__fingerprint__is_what_earlier_releases_kept(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"12")
    status = path.stat()
    expected = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
    assert read(ExternalInput(InputKind.ARCHIVE, str(path))).fingerprint == expected


def test_archive__open_for_writing__keeps_its_fingerprint(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(b"old")
    archive = ExternalInput(InputKind.ARCHIVE, str(path))
    tracker = external_inputs.InputTracker()
    before = tracker.read([archive])
    with path.open("wb") as file:
        file.write(b"half")
        file.flush()
        assert tracker.read([archive]) == before
        assert tracker.next_reading_in is not None


@pytest.mark.parametrize("what", ["fifo", "device", "directory"])
def test_archive__no_regular_file__is_never_opened(
    what: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.tar"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    opened: list[int] = []
    real_open = os.open

    def recorded(name: str, flags: int, *args: int, **options: int) -> int:
        if name == str(path):
            opened.append(flags)
        return real_open(name, flags, *args, **options)

    monkeypatch.setattr(os, "open", recorded)
    read(ExternalInput(InputKind.ARCHIVE, str(path)))
    assert all(flags & os.O_PATH for flags in opened)
    assert opened or what == "directory"


def test_env_file__is_read__with_a_fingerprint_of_its_content(tmp_path: pathlib.Path) -> None:
    (tmp_path / "web.env").write_text("A=1\n")
    first = read(env_file_in(tmp_path))
    assert (first.content, first.problem) == (b"A=1\n", "")
    os.utime(tmp_path / "web.env", ns=(1, 1))
    assert read(env_file_in(tmp_path)) == first


def test_env_file__being_written_at_the_first_reading__is_waited_for(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "web.env"
    program = f"exec 3>{path}; printf 'A=1\\n' >&3; echo ready; sleep 0.3; printf 'B=2\\n' >&3"
    with subprocess.Popen(["sh", "-c", program], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        assert read(env_file_in(tmp_path)).content == b"A=1\nB=2\n"


def test_env_file__missing__is_a_problem_with_a_way_out(tmp_path: pathlib.Path) -> None:
    state = read(env_file_in(tmp_path))
    assert (state.problem, state.hint) == ("does not exist", "create it, or take it out of the manifest")
    assert state.fingerprint == external_input.MISSING


@pytest.mark.parametrize("what", ["fifo", "socket", "directory", "device"])
def test_env_file__no_regular_file__is_never_opened(what: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "web.env"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")
    assert read(env_file_in(tmp_path)).problem == "is not a regular file"


def test_env_file__symlink_out_of_the_folder__is_not_read(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret").write_text("A=1\n")
    (source / "web.env").symlink_to("../secret")
    state = read(env_file_in(source))
    assert (state.content, state.problem) == (b"", "is a symlink that leaves the source's folder")


def test_env_file__folder_on_the_way_is_a_symlink_out__is_not_read(tmp_path: pathlib.Path) -> None:
    source, other = tmp_path / "source", tmp_path / "source-other"
    source.mkdir()
    other.mkdir()
    (other / "web.env").write_text("A=1\n")
    (source / "shared").symlink_to(other)
    state = read(env_file_in(source / "shared", top=source))
    assert state.problem == "is a symlink that leaves the source's folder"


def test_env_file__symlink_inside_of_the_folder__is_followed(tmp_path: pathlib.Path) -> None:
    real = tmp_path / "releases" / "2"
    real.mkdir(parents=True)
    (real / "web.env").write_text("A=2\n")
    (tmp_path / "current").symlink_to("releases/2")
    shown = tmp_path.with_name(f"{tmp_path.name}-link")
    shown.symlink_to(tmp_path)
    assert read(env_file_in(shown / "current", top=shown)).content == b"A=2\n"


def test_env_file__circle_of_symlinks__is_a_problem(tmp_path: pathlib.Path) -> None:
    (tmp_path / "web.env").symlink_to("web.env")
    assert read(env_file_in(tmp_path)).problem == "is a symlink that leads round in a circle"


def test_env_file__made_up_by_the_kernel__is_not_read() -> None:
    state = read(env_file_in(pathlib.Path("/proc/self"), "environ"))
    assert state.problem in {
        "is a file that the kernel makes up: it is not read",
        "is a symlink that leaves the source's folder",
    }


def test_env_file__too_large__is_not_taken(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "web.env"
    path.write_bytes(b"A=" + b"x" * env_file.LARGEST)
    assert read(env_file_in(tmp_path)).problem == "is too large: 0.3 MiB, the limit is 0.25 MiB"
    with path.open("wb") as sparse:
        sparse.truncate(2**40)
    assert read(env_file_in(tmp_path)).problem == "is too large: 1048576.0 MiB, the limit is 0.25 MiB"


def test_env_files__larger_than_all_may_be__are_problems_from_there_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_inputs, "LARGEST_TOTAL", 8)
    inputs = [env_file_in(tmp_path, name) for name in ("1.env", "2.env", "3.env")]
    for external in inputs:
        pathlib.Path(external.path).write_text("A=1\n")
    problems = [state.problem for state in external_inputs.read(inputs).values()]
    assert problems == ["", "", "is more than all such files together may be: 0 MiB"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_env_file__of_a_commit__counts_only_as_committed(algorithm: str, tmp_path: pathlib.Path) -> None:
    data = b"A=1\n"
    committed = hashlib.new(algorithm, b"blob 4\0" + data).hexdigest()
    path = tmp_path / "web.env"
    path.write_bytes(data)
    folder = SourceFolder(str(tmp_path), {os.path.realpath(path): committed}.get)
    external = ExternalInput(InputKind.ENV_FILE, str(path), folder)
    assert read(external).content == data
    path.write_bytes(b"A=2\n")
    state = read(external)
    message = "is not as it was committed: something on this host has changed the checkout"
    assert (state.content, state.problem) == (b"", message)
    other = ExternalInput(InputKind.ENV_FILE, str(path), SourceFolder(str(tmp_path), lambda _: ""))
    assert read(other).problem == "is not in the commit"


@pytest.mark.parametrize("writer", Writer)
def test_env_file__of_another_commit__counts_with_its_manifests_at_once(writer: Writer) -> None:
    """It was compared with what the commit has: nobody has written half of it, not even where it is shorter."""
    external = ExternalInput(InputKind.ENV_FILE, "/srv/web.env", SourceFolder("/srv", lambda _: "0" * 40))
    tracker = external_inputs.InputTracker()
    for now, data in ((0.0, b"A=1\nB=2\n"), (0.1, b"A=1\n")):
        state = external_input.state_of(external, external_input.Reading(len(data), 0, 0, data))
        reading = external_inputs.InputReading(state, writer)
        assert tracker.take({external: reading}, now)[external].content == data
