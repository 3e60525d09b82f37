"""The notes: written through, there again after a restart, and safe to lose."""

import json
import pathlib
from typing import Any

import pytest

from agent.drivers.docker import notes, translate
from agent.kit import canonical
from agent.model import container, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind
from agent.runtime import errors
from tests import builders
from tests.unit.drivers.docker import twin

LABELS = (("trimtab.dev/owner", "test1"),)
ADOPTED = notes.ContainerNote(
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


def filled(path: pathlib.Path) -> notes.Book:
    """Give a book with something of every kind in it."""
    book = notes.Book(path)
    book.note_container("c1", ADOPTED)
    book.note_image("docker.io/library/nginx:1", LABELS)
    book.note_volume("data", LABELS)
    book.note_network("n1", LABELS)
    book.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    book.note_name(Kind.NETWORK, "bridge", "bridge")
    return book


def contents(book: notes.Book) -> tuple[Any, ...]:
    return (
        book.container("c1"),
        dict(book.images()),
        book.volume("data"),
        book.network("n1"),
        book.engine_name(Kind.CONTAINER, "shop-web-1"),
        book.declared_name(Kind.CONTAINER, "shop_web_1"),
        book.is_noted_name(Kind.NETWORK, "bridge"),
    )


FILLED = (ADOPTED, {"docker.io/library/nginx:1": LABELS}, LABELS, LABELS, "shop_web_1", "shop-web-1", True)
EMPTY = (notes.ContainerNote(), {}, None, (), "shop-web-1", "shop_web_1", False)


def test_notes__after_a_restart__are_what_they_were(path: pathlib.Path) -> None:
    assert contents(filled(path)) == FILLED
    assert contents(notes.Book(path)) == FILLED


def test_notes__on_disk__are_closed_to_everybody_else(path: pathlib.Path) -> None:
    filled(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["notes.json"]


def test_notes__nothing_new__is_not_written(path: pathlib.Path) -> None:
    book = filled(path)
    before = path.stat().st_ino
    book.note_container("c1", ADOPTED)
    book.note_image("docker.io/library/nginx:1", LABELS)
    book.note_volume("data", LABELS)
    book.note_network("n1", LABELS)
    book.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    book.forget(Kind.CONTAINER, "nobody")
    assert path.stat().st_ino == before
    book.note_stop("c1", 6.0)
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
def test_notes__damaged__are_as_good_as_none_and_written_anew(path: pathlib.Path, damage: bytes) -> None:
    path.write_bytes(damage)
    book = notes.Book(path)
    assert contents(book) == EMPTY
    book.note_volume("data", LABELS)
    assert notes.Book(path).volume("data") == LABELS


def test_notes__of_a_version_that_noted_less__are_read(path: pathlib.Path) -> None:
    path.write_text(json.dumps({"containers": [["c1", {"stop_requested_at": 5}]], "volumes": [["data", []]]}))
    book = notes.Book(path)
    assert (book.container("c1").stop_requested_at, book.volume("data")) == (5.0, ())


def test_notes__only_read__are_kept_in_mind_and_not_written(path: pathlib.Path) -> None:
    book = notes.Book(path, read_only=True)
    book.note_volume("data", LABELS)
    assert (book.volume("data"), path.exists()) == (LABELS, False)


def test_notes__that_cannot_be_written__are_a_failure_of_the_runtime(tmp_path: pathlib.Path) -> None:
    book = notes.Book(tmp_path / "missing" / "notes.json")
    with pytest.raises(errors.Unavailable, match=r"notes\.json cannot be written: No such file") as caught:
        book.note_volume("data", LABELS)
    assert caught.value.reason == "HostFailure"


@pytest.mark.parametrize(
    ("kind", "identity", "place"),
    [
        (Kind.CONTAINER, "c1", 0),
        (Kind.IMAGE, "docker.io/library/nginx:1", 1),
        (Kind.VOLUME, "data", 2),
        (Kind.NETWORK, "n1", 3),
        (Kind.NETWORK, "bridge", 6),
    ],
)
def test_forget__an_object_that_is_gone__drops_what_is_noted_of_it_and_nothing_else(
    path: pathlib.Path, kind: Kind, identity: str, place: int
) -> None:
    filled(path).forget(kind, identity)
    expected = [*FILLED]
    expected[place] = EMPTY[place]
    assert contents(notes.Book(path)) == tuple(expected)


def test_forget__by_the_engines_name__drops_the_name(path: pathlib.Path) -> None:
    filled(path).forget(Kind.CONTAINER, "shop_web_1")
    book = notes.Book(path)
    assert book.engine_name(Kind.CONTAINER, "shop-web-1") == "shop-web-1"
    assert book.container("c1") == ADOPTED


def test_notes__lost__leave_a_volume_retained_and_others_things_alone(path: pathlib.Path) -> None:
    book = filled(path)
    book.note_volume("data", (*LABELS, (DELETION_POLICY_LABEL, "Delete")))
    found = {"Name": "data", "Labels": dict(LABELS)}
    table = twin.table(path.parent)
    assert (
        translate.observed_volume(found, notes.Book(path).volume("data"), table).config.deletion_policy.value
        == "Delete"
    )
    path.unlink()
    lost = notes.Book(path)
    retained = translate.observed_volume(found, lost.volume("data"), table).config.deletion_policy
    assert retained is volume.DeletionPolicy.RETAIN
    assert (lost.container("c1").adopted, lost.container("c1").labels, dict(lost.images())) == (None, (), {})


def test_note__of_whatever_container__comes_back(path: pathlib.Path) -> None:
    filled(path)
    told = json.loads(path.read_bytes())
    assert canonical.restore(notes.Notes, told).containers == (("c1", ADOPTED),)
