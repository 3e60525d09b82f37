"""The notes: on disk where something rests on them, there again after a restart, and safe to lose."""

import asyncio
import json
import pathlib
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import driver, sidecar, translate
from agent.kit import atomicfile, canonical, clock, notices, reserve, state_format, tasks
from agent.model import container, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind
from tests import builders, damages, full_disks
from tests.unit.drivers.docker import http_engine, twin

LABELS = (("trimtab.dev/owner", "test1"),)
ADOPTED = sidecar.ContainerNote(
    stop_requested_at=5.25,
    aliases=(("shop", ("db", "www")),),
    addresses=(("shop", "10.9.0.5"),),
    adopted=builders.config(
        env=(("A", ""),),
        mounts=(container.TmpfsMount("/t", 1), container.VolumeMount("data", "/d", read_only=True)),
    ),
    labels=LABELS,
)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "notes.json"


def test_images__noted_in_another_spelling__are_the_same_images(path: pathlib.Path) -> None:
    old = "registry-1.docker.io/library/nginx:1"
    state_file = sidecar.StateFile(path)
    state_file.note_image(old, (("trimtab.dev/name", old), *LABELS))
    keep(state_file)
    spelt = "docker.io/library/nginx:1"
    assert sidecar.StateFile(path).images() == {spelt: (("trimtab.dev/name", spelt), *LABELS)}


def keep(state_file: sidecar.StateFile) -> None:
    """Wait until the notes are on disk."""
    asyncio.run(state_file.kept())


def filled(path: pathlib.Path) -> sidecar.StateFile:
    """Return a book with a note of every kind."""
    state_file = sidecar.StateFile(path)
    state_file.note_container("c1", ADOPTED)
    state_file.note_image("docker.io/library/nginx:1", LABELS)
    state_file.note_volume("data", LABELS)
    state_file.note_network("n1", LABELS)
    state_file.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    state_file.note_name(Kind.NETWORK, "bridge", "bridge")
    keep(state_file)
    return state_file


def keep_volume(state_file: sidecar.StateFile) -> None:
    """Note another volume."""
    state_file.note_volume("last", LABELS)
    keep(state_file)


def contents(state_file: sidecar.StateFile) -> tuple[Any, ...]:
    return (
        state_file.container("c1"),
        dict(state_file.images()),
        state_file.volume("data"),
        state_file.network("n1"),
        state_file.engine_name(Kind.CONTAINER, "shop-web-1"),
        state_file.declared_name(Kind.CONTAINER, "shop_web_1"),
        state_file.is_noted_name(Kind.NETWORK, "bridge"),
    )


FILLED = (ADOPTED, {"docker.io/library/nginx:1": LABELS}, LABELS, LABELS, "shop_web_1", "shop-web-1", True)
EMPTY = (sidecar.ContainerNote(), {}, None, (), "shop-web-1", "shop_web_1", False)


def test_notes__after_a_restart__are_what_they_were(path: pathlib.Path) -> None:
    assert contents(filled(path)) == FILLED
    assert contents(sidecar.StateFile(path)) == FILLED


def test_notes__on_disk__are_closed_to_everybody_else(path: pathlib.Path) -> None:
    keep_volume(filled(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["notes.json", "notes.json.before"]
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_notes__nothing_new__is_not_written(path: pathlib.Path) -> None:
    state_file = filled(path)
    before = path.stat().st_ino
    state_file.note_container("c1", ADOPTED)
    state_file.note_image("docker.io/library/nginx:1", LABELS)
    state_file.note_volume("data", LABELS)
    state_file.note_network("n1", LABELS)
    state_file.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    state_file.forget(Kind.CONTAINER, "nobody")
    keep(state_file)
    assert path.stat().st_ino == before
    state_file.note_stop("c1", 6.0)
    keep(state_file)
    assert path.stat().st_ino != before


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{",
        b'{"containers":[["c1",{"stop_requested_at":"soon"}]]}',
        b'{"names":[["Container","a"]]}',
        b'{"new":1}',
        b"[" * 100_000,
    ],
)
def test_notes__damaged__are_put_aside_and_written_anew(path: pathlib.Path, damage: bytes) -> None:
    path.write_bytes(damage)
    state_file = sidecar.StateFile(path)
    assert contents(state_file) == EMPTY
    assert "it was damaged" in state_file.mended
    assert next(path.parent.glob("notes.json.damaged-*")).read_bytes() == damage
    state_file.note_volume("data", LABELS)
    keep(state_file)
    reopened = sidecar.StateFile(path)
    assert reopened.volume("data") == LABELS
    assert not reopened.mended


@pytest.mark.parametrize("kind", damages.KINDS)
def test_notes__damaged_anywhere__all_but_the_last_note_is_known(path: pathlib.Path, kind: str) -> None:
    for seed in range(25):
        keep_volume(filled(path))
        damages.damage(path, kind, seed)
        state_file = sidecar.StateFile(path)
        if state_file.mended:
            assert contents(state_file) == FILLED
        for file in path.parent.iterdir():
            file.unlink()


def test_notes__damaged_and_only_looked_at__are_left_as_they_are(path: pathlib.Path) -> None:
    filled(path)
    path.write_bytes(b"{")
    assert sidecar.StateFile(path, read_only=True).mended
    assert path.read_bytes() == b"{"


def test_notes__their_file_is_removed__the_copy_counts(path: pathlib.Path) -> None:
    keep_volume(filled(path))
    path.unlink()
    assert contents(sidecar.StateFile(path)) == FILLED


def test_notes__of_a_version_that_noted_less__are_read(path: pathlib.Path) -> None:
    path.write_text(json.dumps({"containers": [["c1", {"stop_requested_at": 5}]], "volumes": [["data", []]]}))
    state_file = sidecar.StateFile(path)
    assert (state_file.container("c1").stop_requested_at, state_file.volume("data")) == (5.0, ())


@pytest.mark.parametrize(
    ("change", "release"), [({"version": 2}, ""), ({"version": 2}, "99.0.0"), ({"secrets": []}, "99.0.0")]
)
def test_notes__of_a_newer_release__are_refused_and_left_as_they_are(
    path: pathlib.Path, change: dict[str, object], release: str
) -> None:
    filled(path)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    path.with_name("instance.json").write_text(json.dumps({"release": release}))
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(
        state_format.NewerState, match=f"notes.json is state of {'trimtab 99' if release else 'a newer'}"
    ):
        sidecar.StateFile(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_notes__only_read__are_kept_in_mind_and_not_written(path: pathlib.Path) -> None:
    state_file = sidecar.StateFile(path, read_only=True)
    state_file.note_volume("data", LABELS)
    keep(state_file)
    assert (state_file.volume("data"), path.exists()) == (LABELS, False)


def test_notes__that_cannot_be_written__are_a_failure_of_the_runtime(tmp_path: pathlib.Path) -> None:
    state_file = sidecar.StateFile(tmp_path / "missing" / "notes.json")
    with pytest.raises(errors.Unavailable, match=r"notes\.json cannot be written: No such file") as caught:
        keep_volume(state_file)
    assert caught.value.reason == "HostFailure"
    (tmp_path / "missing").mkdir()
    keep(state_file)
    assert sidecar.StateFile(tmp_path / "missing" / "notes.json").volume("last") == LABELS, "it is not forgotten"


@pytest.mark.parametrize(
    ("kind", "identity", "field"),
    [
        (Kind.CONTAINER, "c1", 0),
        (Kind.IMAGE, "docker.io/library/nginx:1", 1),
        (Kind.VOLUME, "data", 2),
        (Kind.NETWORK, "n1", 3),
        (Kind.NETWORK, "bridge", 6),
    ],
)
def test_forget__an_object_that_is_gone__drops_what_is_noted_of_it_and_nothing_else(
    path: pathlib.Path, kind: Kind, identity: str, field: int
) -> None:
    state_file = filled(path)
    state_file.forget(kind, identity)
    keep(state_file)
    expected = [*FILLED]
    expected[field] = EMPTY[field]
    assert contents(sidecar.StateFile(path)) == tuple(expected)


def test_forget__by_the_engines_name__drops_the_name(path: pathlib.Path) -> None:
    state_file = filled(path)
    state_file.forget(Kind.CONTAINER, "shop_web_1")
    keep(state_file)
    state_file = sidecar.StateFile(path)
    assert state_file.engine_name(Kind.CONTAINER, "shop-web-1") == "shop-web-1"
    assert state_file.container("c1") == ADOPTED


def test_notes__lost__leave_a_volume_retained_and_others_things_alone(path: pathlib.Path) -> None:
    state_file = filled(path)
    state_file.note_volume("data", (*LABELS, (DELETION_POLICY_LABEL, "Delete")))
    keep(state_file)
    answer = {"Name": "data", "Labels": dict(LABELS)}
    table = twin.table(path.parent)
    assert (
        translate.observed_volume(answer, sidecar.StateFile(path).volume("data"), table).config.deletion_policy.value
        == "Delete"
    )
    path.unlink()
    older = translate.observed_volume(answer, sidecar.StateFile(path).volume("data"), table).config.deletion_policy
    assert older is volume.DeletionPolicy.RETAIN, "what may be outdated deletes nothing"
    path.with_name(f"{path.name}.before").unlink()
    lost = sidecar.StateFile(path)
    retained = translate.observed_volume(answer, lost.volume("data"), table).config.deletion_policy
    assert retained is volume.DeletionPolicy.RETAIN
    assert (lost.container("c1").adopted, lost.container("c1").labels, dict(lost.images())) == (None, (), {})


def test_note__of_whatever_container__comes_back(path: pathlib.Path) -> None:
    filled(path)
    content = json.loads(path.read_bytes())
    assert canonical.restore(sidecar.Notes, content).containers == (("c1", ADOPTED),)


class Disk:
    """A disk that counts what is written, and holds it up until it is let go."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.threads: set[int] = set()
        self.goes_on = threading.Event()
        self._write = atomicfile.write
        patch.setattr(sidecar.atomicfile, "write", self.write)

    def write(self, path: pathlib.Path, data: bytes) -> None:
        """Write a file."""
        self.writes += 1
        self.threads.add(threading.get_ident())
        self.goes_on.wait(15)
        self._write(path, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.goes_on.set()


async def test_stops__a_thousand_of_ours_in_a_burst__are_two_writes_that_hold_nobody_up(path, disk: Disk) -> None:
    state_file = sidecar.StateFile(path)

    async def stop(number: int) -> None:
        state_file.note_stop(f"c{number}", 5.0)
        await state_file.kept()
        assert disk.goes_on.is_set(), "a stop begins once it is noted on disk"

    stopping = asyncio.gather(*(stop(number) for number in range(1000)))
    while not disk.writes:  # noqa: ASYNC110 - the loop goes on while the disk hangs
        await asyncio.sleep(0.001)
    assert not stopping.done()
    disk.goes_on.set()
    await stopping
    assert disk.writes <= 2
    assert threading.get_ident() not in disk.threads
    assert sidecar.StateFile(path).container("c999").stop_requested_at == 5.0


async def test_stops__a_thousand_of_others_in_a_burst__are_written_at_once_and_nobody_waits(path, disk: Disk) -> None:
    disk.goes_on.set()
    state_file, register = sidecar.StateFile(path), notices.Register(clock.SystemClock(), lambda _: None)
    async with tasks.Crew() as crew:
        crew.start(state_file.run(register), name="notes")
        for number in range(1000):
            state_file.note_stop(f"c{number}", 5.0)
            await asyncio.sleep(0)
        async with asyncio.timeout(15):
            while not disk.writes:  # noqa: ASYNC110 - seen from outside on purpose
                await asyncio.sleep(0.01)
            await state_file.kept()
        state_file.note_stop("last", 5.0)
    assert disk.writes <= 10
    assert sidecar.StateFile(path).container("c999").stop_requested_at == 5.0
    assert sidecar.StateFile(path).container("last").stop_requested_at == 5.0, "also what is noted last"


async def test_notes__nobody_waits_and_the_disk_fails__are_a_notice_until_they_are_written(tmp_path) -> None:
    changes: list[notices.NoticeChange] = []
    register = notices.Register(clock.SystemClock(), changes.append)
    state_file = sidecar.StateFile(tmp_path / "missing" / "notes.json")
    async with tasks.Crew() as crew, asyncio.timeout(15):
        crew.start(state_file.run(register), name="notes")
        crew.start(register.run(), name="retries")
        state_file.note_stop("c1", 5.0)
        await until(lambda: len(register.all()) == 1)
        assert "cannot be written: No such file" in register.all()[0].message
        (tmp_path / "missing").mkdir()
        await until(lambda: not register.all())
    assert sidecar.StateFile(tmp_path / "missing" / "notes.json").container("c1").stop_requested_at == 5.0
    assert (changes[0].notice.subject, changes[-1].is_over) == ("notes in notes.json", True)


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Mount a file system of the test's own, which is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "trimtab-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_notes__not_a_byte_is_free__are_written_from_the_reserve(small_disk: pathlib.Path) -> None:
    path = small_disk / "notes.json"
    reserve.Reserve(small_disk / "reserve").restore()
    state_file = filled(path)
    pieces = len(list((small_disk / "reserve").iterdir()))
    full_disks.fill(small_disk)
    state_file.note_volume("big", tuple((f"label-{number}", "x" * 100) for number in range(300)))
    keep(state_file)
    assert len(sidecar.StateFile(path).volume("big") or ()) == 300
    assert len(list((small_disk / "reserve").iterdir())) == pieces - 1


@pytest.mark.root
async def test_remove__not_a_byte_is_free__removes_and_forgets(small_disk: pathlib.Path, tmp_path) -> None:
    path = small_disk / "notes.json"
    reserve.Reserve(small_disk / "reserve").restore()
    deleted = {f"DELETE containers/{twin.ID}": web.Response(status=204)}
    inspected = {"GET containers/web/json": {"Id": twin.ID, "Name": "/web", "State": {"Running": False}}}
    async with (
        http_engine.serving(tmp_path / "engine.sock", **deleted, **inspected) as served,
        driver.open_runtime(served.where, driver.Instance("test1", path)) as runtime,
    ):
        runtime.containers.state_file.note_container(twin.ID, ADOPTED)
        await runtime.containers.state_file.kept()
        full_disks.fill(small_disk)
        await runtime.containers.remove("web")
        assert runtime.notices() == ()
    assert sidecar.StateFile(path).container(twin.ID) == sidecar.ContainerNote()
    assert f"DELETE containers/{twin.ID}" in served.calls()


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 - observed from outside on purpose
        await asyncio.sleep(0.01)
