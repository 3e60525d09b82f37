"""The notes: written through, there again after a restart, and safe to lose."""

import json
import pathlib
from typing import Any

import pytest

from agent import errors
from agent.drivers.docker import sidecar, translate
from agent.kit import canonical, state_format
from agent.model import container, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind
from tests import builders, damages
from tests.unit.drivers.docker import twin

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
    sidecar.StateFile(path).note_image(old, (("trimtab.dev/name", old), *LABELS))
    spelt = "docker.io/library/nginx:1"
    assert sidecar.StateFile(path).images() == {spelt: (("trimtab.dev/name", spelt), *LABELS)}


def filled(path: pathlib.Path) -> sidecar.StateFile:
    """Return a book with a note of every kind."""
    state_file = sidecar.StateFile(path)
    state_file.note_container("c1", ADOPTED)
    state_file.note_image("docker.io/library/nginx:1", LABELS)
    state_file.note_volume("data", LABELS)
    state_file.note_network("n1", LABELS)
    state_file.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    state_file.note_name(Kind.NETWORK, "bridge", "bridge")
    return state_file


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
    filled(path)
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
    assert path.stat().st_ino == before
    state_file.note_stop("c1", 6.0)
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
    reopened = sidecar.StateFile(path)
    assert reopened.volume("data") == LABELS
    assert not reopened.mended


@pytest.mark.parametrize("kind", damages.KINDS)
def test_notes__damaged_anywhere__all_but_the_last_note_is_known(path: pathlib.Path, kind: str) -> None:
    for seed in range(25):
        filled(path).note_volume("last", LABELS)
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
    filled(path).note_volume("last", LABELS)
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
    assert (state_file.volume("data"), path.exists()) == (LABELS, False)


def test_notes__that_cannot_be_written__are_a_failure_of_the_runtime(tmp_path: pathlib.Path) -> None:
    state_file = sidecar.StateFile(tmp_path / "missing" / "notes.json")
    with pytest.raises(errors.Unavailable, match=r"notes\.json cannot be written: No such file") as caught:
        state_file.note_volume("data", LABELS)
    assert caught.value.reason == "HostFailure"


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
    filled(path).forget(kind, identity)
    expected = [*FILLED]
    expected[field] = EMPTY[field]
    assert contents(sidecar.StateFile(path)) == tuple(expected)


def test_forget__by_the_engines_name__drops_the_name(path: pathlib.Path) -> None:
    filled(path).forget(Kind.CONTAINER, "shop_web_1")
    state_file = sidecar.StateFile(path)
    assert state_file.engine_name(Kind.CONTAINER, "shop-web-1") == "shop-web-1"
    assert state_file.container("c1") == ADOPTED


def test_notes__lost__leave_a_volume_retained_and_others_things_alone(path: pathlib.Path) -> None:
    state_file = filled(path)
    state_file.note_volume("data", (*LABELS, (DELETION_POLICY_LABEL, "Delete")))
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
