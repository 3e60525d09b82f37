"""Caches of builds in a registry: what one host has done, another one takes."""

import contextlib
import json
import pathlib
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent import errors
from agent.dockerfile import builds, caches
from agent.engine import engine
from agent.engine.build import remote_caches
from agent.engine.images import signatures
from agent.oci import descriptor, digest
from tests import registry
from tests.builds import instances

pytestmark = pytest.mark.root

TEXT = """FROM base:1 AS other
RUN echo other > /other
FROM base:1
COPY a.txt /
RUN cat a.txt > /b.txt
COPY --from=other /other /
"""
ALL = ["RUN echo other > /other", "COPY a.txt /", "RUN cat a.txt > /b.txt", "COPY --from=other /other /"]


@pytest.fixture
def cache_name(tmp_path: pathlib.Path) -> Iterator[str]:
    """What a cache is called in a registry."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with registry.running(folder) as address:
        yield f"{address}/team/cache:app"


@pytest.fixture
async def hosts(tmp_path: pathlib.Path) -> AsyncIterator[list[engine.Engine]]:
    """Two hosts with the same base image."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(instances.opened(tmp_path / name)) for name in ("one", "two")]


@pytest.fixture
def context(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    return folder


@pytest.mark.parametrize(("is_whole", "missing"), [(True, []), (False, ALL[:1])], ids=["max", "min"])
async def test_cache__of_another_host__is_taken_and_the_image_is_the_same(
    hosts: list[engine.Engine], context: pathlib.Path, cache_name: str, *, is_whole: bool, missing: list[str]
) -> None:
    one, two = hosts
    target = caches.CacheTarget(cache_name, is_whole=is_whole)
    first = await instances.build(one, TEXT, context, cache_to=(target,), cache_from=(cache_name,))
    assert sorted(first.done) == sorted(
        [*ALL, f"importing the cache {cache_name}", f"exporting the cache to {cache_name}"]
    )
    second = await instances.build(two, TEXT, context, cache_from=(cache_name,))
    assert second.done == [f"importing the cache {cache_name}", *missing]
    assert two.images.record("localhost/test:1").id == one.images.record("localhost/test:1").id
    again = await instances.build(two, TEXT, context, cache_from=(cache_name,))
    assert again.done == [], "what was fetched is here"
    unnamed = await instances.build(two, TEXT, context, name="localhost/test:2")
    assert set(unnamed.done) >= {"COPY a.txt /", "RUN cat a.txt > /b.txt"}, (
        "whoever does not name the cache does not use it"
    )


async def test_cache__a_step_has_changed__only_what_stands_on_it_is_done(
    hosts: list[engine.Engine], context: pathlib.Path, cache_name: str
) -> None:
    one, two = hosts
    await instances.build(one, TEXT, context, cache_to=(caches.CacheTarget(cache_name, is_whole=True),))
    (context / "a.txt").write_text("changed")
    changed = await instances.build(two, TEXT, context, cache_from=(cache_name,))
    assert [title for title in changed.done if not title.startswith("importing")] == ALL[1:]
    unused = await instances.build(two, TEXT, context, cache_from=(cache_name,), uses_cache=False)
    assert len(unused.done) == len(ALL)


async def test_cache__that_is_not_there_or_not_reached__is_told_of_and_done_without(
    hosts: list[engine.Engine], context: pathlib.Path, cache_name: str
) -> None:
    nobody = "127.0.0.1:1/cache"
    told = await instances.build(hosts[0], TEXT, context, cache_from=(cache_name, nobody))
    assert sorted(told.done) == sorted([*ALL, f"importing the cache {cache_name}"])
    assert [(title, bool(error)) for title, _, error in told.ends if nobody in title] == [
        (f"importing the cache {nobody}", True)
    ]
    with pytest.raises(errors.Unavailable):
        await instances.build(hosts[0], TEXT, context, cache_to=(caches.CacheTarget(nobody),))


HEX = "a" * 64
GOOD = {"diffId": f"sha256:{HEX}", "created": 1, "layer": {"mediaType": "x", "digest": f"sha256:{HEX}", "size": 1}}


@pytest.mark.parametrize(
    ("media_type", "config", "expected"),
    [
        ("application/vnd.oci.image.config.v1+json", {}, "is no cache of builds"),
        (remote_caches.TYPE, {"version": 2, "steps": {}}, "was written by a newer trimtab"),
        (remote_caches.TYPE, {"version": 1, "steps": [1]}, "is damaged: "),
        (remote_caches.TYPE, [], "is damaged: "),
        (remote_caches.TYPE, {"version": 1, "steps": {"k": {}}}, "is damaged: "),
        (remote_caches.TYPE, {"version": 1, "steps": {"k": {**GOOD, "diffId": "../../x"}}}, "is damaged: "),
        (remote_caches.TYPE, {"version": 1, "steps": {"k": {**GOOD, "created": 1e300}}}, "is damaged: "),
        (remote_caches.TYPE, {"version": 1, "steps": {"k": {**GOOD, "layer": {"size": -1}}}}, "is damaged: "),
    ],
)
async def test_cache__that_is_none__is_refused(
    hosts: list[engine.Engine],
    context: pathlib.Path,
    cache_name: str,
    media_type: str,
    config: object,
    expected: str,
) -> None:
    push(cache_name, media_type, json.dumps(config).encode(), b"layer")
    with pytest.raises(builds.BuildFailed, match=expected):
        await instances.build(hosts[0], TEXT, context, cache_from=(cache_name,))


def push(name: str, media_type: str, config: bytes, layer: bytes) -> None:
    repository = name.rpartition(":")[0]
    parts = [registry.push_blob(repository, data) for data in (config, layer)]
    assert parts == [digest.of(config), digest.of(layer)]
    own = descriptor.Descriptor(media_type, parts[0], len(config)).document()
    blob = descriptor.Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", parts[1], len(layer)).document()
    kind = "application/vnd.oci.image.manifest.v1+json"
    registry.push_manifest(name, {"schemaVersion": 2, "mediaType": kind, "config": own, "layers": [blob]})


def read(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a cache's manifest and configuration."""
    manifest, _ = registry.manifest(name)
    address, _, repository = name.rpartition(":")[0].partition("/")
    with urllib.request.urlopen(f"http://{address}/v2/{repository}/blobs/{manifest['config']['digest']}") as answer:
        return manifest, json.load(answer)


async def test_cache__with_another_layer_than_it_says__is_not_used(
    hosts: list[engine.Engine], context: pathlib.Path, cache_name: str
) -> None:
    one, two = hosts
    await instances.build(one, TEXT, context, cache_to=(caches.CacheTarget(cache_name),))
    manifest, config = read(cache_name)
    for step in config["steps"].values():
        step["diffId"] = f"sha256:{HEX}"
    data = json.dumps(config).encode()
    registry.push_blob(cache_name.rpartition(":")[0], data)
    own = descriptor.Descriptor(remote_caches.TYPE, digest.of(data), len(data)).document()
    registry.push_manifest(cache_name, {**manifest, "config": own})
    with pytest.raises(errors.InvalidArgument, match="a layer unpacks to sha256"):
        await instances.build(two, TEXT, context, cache_from=(cache_name,))


async def test_cache__in_a_registry_that_is_not_admitted__is_refused(
    hosts: list[engine.Engine], context: pathlib.Path
) -> None:
    for fields in ({"cache_from": ("127.0.0.1:1/c",)}, {"cache_to": (caches.CacheTarget("127.0.0.1:1/c"),)}):
        with pytest.raises(errors.InvalidArgument, match="are not among those that may be used"):
            await instances.build(hosts[0], TEXT, context, registries=("docker.io",), **fields)


async def test_cache__of_a_repository_whose_images_are_signed__is_refused(
    tmp_path: pathlib.Path, context: pathlib.Path, cache_name: str
) -> None:
    rule = signatures.Rule(cache_name.rpartition(":")[0], (tmp_path / "key.pub",))
    options = engine.Options(verify=signatures.Policy((rule,)))
    async with instances.opened(tmp_path / "one", options) as instance:
        with pytest.raises(builds.BuildFailed, match="whose content must be signed, and caches are not"):
            await instances.build(instance, TEXT, context, cache_from=(cache_name,))
