"""The build cache: what it keeps, for how long, and what of it is content that must stay."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

import pytest

from agent.engine import layout, records
from agent.engine.build import cache, caches, spec
from agent.oci import descriptor, digest, image_config, mediatypes

NOW = 1_000_000_000.0
DAY = 86_400.0


@pytest.fixture
def where(tmp_path: pathlib.Path) -> layout.Layout:
    made = layout.of(tmp_path / "root", tmp_path / "run")
    made.prepare()
    return made


@pytest.fixture
def database(where: layout.Layout) -> Iterator[records.Database]:
    with contextlib.closing(records.Database(where.records, (cache.SCHEMA,))) as opened:
        yield opened


def layer(name: str, size: int = 10) -> spec.Layer:
    return spec.Layer(
        digest.of(name.encode()), descriptor.Descriptor(mediatypes.LAYER_GZIP, digest.of(name.encode() * 2), size)
    )


def test_find__what_was_kept__comes_back(database) -> None:
    steps = cache.Cache(database)
    steps.keep("key", cache.Step(layer("a"), NOW), [layer("base")], NOW)
    assert steps.find("key", NOW + 1) == cache.Step(layer("a"), NOW)
    assert steps.find("other", NOW) is None


def test_needed__layers_of_steps_and_below_them__are_kept(database, where) -> None:
    cache.Cache(database).keep("key", cache.Step(layer("a"), NOW), [layer("base")], NOW)
    blobs, chains = cache.Kept(where).needed(database)
    assert blobs == {layer("a").blob.digest, layer("base").blob.digest}
    assert chains == set(image_config.chain_ids((layer("base").diff_id, layer("a").diff_id)))


def keys(database: records.Database) -> list[str]:
    return [row["key"] for row in database.query("SELECT key FROM build_steps ORDER BY key")]


def test_trim__longest_unused_steps__go_first(database, where) -> None:
    steps = cache.Cache(database)
    for number in range(4):
        steps.keep(str(number), cache.Step(layer(str(number)), NOW + number), [], NOW + number)
    steps.find("0", NOW + DAY)  # it has been used since
    kept = cache.Kept(where, cache.Limits(size=20, unused=30 * DAY))
    kept.trim(database, NOW + DAY, entirely=False)
    assert keys(database) == ["0", "3"]
    kept.trim(database, NOW + 30 * DAY + 10, entirely=False)
    assert keys(database) == ["0"]
    kept.trim(database, NOW + DAY, entirely=True)
    assert keys(database) == []


def test_tidy__folder_that_is_used__stays(where) -> None:
    used, unused = where.build_caches / "used", where.build_caches / "unused"
    kept = cache.Kept(where)
    with caches.used(used), caches.used(unused):
        pass
    with caches.used(used):
        kept.tidy(NOW, entirely=True)
        assert (used.exists(), unused.exists()) == (True, False)
    kept.tidy(NOW, entirely=True)
    assert not used.exists()


def test_tidy__folder_that_was_used_lately__stays(where) -> None:
    folder = where.build_caches / "cache"
    with caches.used(folder):
        pass
    os.utime(folder, (NOW, NOW))
    cache.Kept(where).tidy(NOW + DAY, entirely=False)
    assert folder.exists()
    cache.Kept(where).tidy(NOW + caches.UNUSED + 1, entirely=False)
    assert not folder.exists()


def test_used__while_it_is_removed__is_another_folder(where, monkeypatch) -> None:
    folder = where.build_caches / "cache"
    folder.mkdir()
    real, calls = fcntl.flock, list[int]()

    def removed_meanwhile(descriptor: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            folder.rmdir()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with caches.used(folder):
        assert folder.exists()
    assert len(calls) == 2
