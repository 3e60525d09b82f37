"""Pushes to registries that break, forget, mislead and refuse: gone on with, begun anew, or told with the reason."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yarl

from agent import errors
from agent.distribution.registry import push, uploads
from agent.oci import digest, mediatypes, reference
from tests import faulty_registry as faulty
from tests import registry as registries
from tests import upload_registry

CONFIG = b"{}"
LAYER = bytes(number % 251 for number in range(2500))
CHUNK = 1000
RANGES = ["0-999", "1000-1999", "2000-2499"]
FAILED = (errors.Unavailable, "ImagePushFailed")
REFUSED = (errors.InvalidArgument, "ImagePushRefused")
DENIED = (errors.InvalidArgument, "ImagePushDenied")


@pytest.fixture
async def registry() -> AsyncIterator[upload_registry.Registry]:
    async with upload_registry.served() as faulty_server:
        yield faulty_server


@pytest.fixture
async def elsewhere() -> AsyncIterator[upload_registry.Registry]:
    """Another host, as far as HTTP goes, with a first upload begun."""
    async with upload_registry.served() as faulty_server:
        faulty_server.uploads += [bytearray(), bytearray()]
        yield faulty_server


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK", CHUNK)


def _image(store: registries.Store, *layers: bytes) -> bytes:
    """Put an image into the store, and give its manifest."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": mediatypes.MANIFEST,
        "config": store.content.put(mediatypes.CONFIG, CONFIG).document(),
        "layers": [store.content.put(mediatypes.LAYER_GZIP, layer).document() for layer in layers],
    }
    return json.dumps(manifest).encode()


def _pushing(store: registries.Store, target: str, progress: list[Any]) -> push.Push:
    return push.Push(store.client, store.content, store.images.sources, reference.parse(target), progress.append)


async def assert_pushed(store: registries.Store, registry: upload_registry.Registry, *layers: bytes) -> None:
    """Push an image, and see that the registry has just that; what is reported ends with all of it."""
    top, progress = _image(store, *layers), []
    assert await _pushing(store, f"{registry.address}/app:1", progress).image(top) == digest.of(top)
    assert registry.blobs == {("app", digest.of(blob)): blob for blob in (CONFIG, *layers)}
    assert registry.manifests == {("app", "1"): (mediatypes.MANIFEST, top)}
    total = len(CONFIG) + sum(map(len, layers))
    assert progress[-1] == push.PushProgress(total, total)


async def _failure(
    store: registries.Store, registry: upload_registry.Registry, *layers: bytes
) -> tuple[tuple[type[errors.Failure], str], str]:
    """Push an image that does not get there, and give kind, reason and words of the failure."""
    with pytest.raises(errors.Failure) as caught:
        await _pushing(store, f"{registry.address}/app:1", []).image(_image(store, *layers))
    assert registry.manifests == {}
    return (registries.kind(caught.value), caught.value.reason), caught.value.message


def _ranges(registry: upload_registry.Registry) -> list[str]:
    return [request.range for request in registry.of("PATCH")]


async def test_blob__small__goes_in_one_request_and_a_large_one_in_chunks(registry, store) -> None:
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == RANGES
    assert sorted(request.size for request in registry.of("PUT") if "uploads" in request.path) == [0, len(CONFIG)]
    assert all("state=a%2Fb" in request.path for request in registry.of("PATCH"))


async def test_blob__that_is_there__is_not_sent(registry, store) -> None:
    registry.blobs["app", digest.of(LAYER)] = LAYER
    await assert_pushed(store, registry, LAYER)
    assert (len(registry.of("HEAD")), _ranges(registry)) == (2, [])


async def test_blob__empty__is_pushed(registry, store) -> None:
    await assert_pushed(store, registry, b"")


async def test_chunks__registry_wants_larger_ones__gets_them(registry, store) -> None:
    registry.least = 1500
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == ["0-1499", "1500-2499"]


async def test_chunk__cut_off__is_gone_on_with_from_where_the_registry_stands(registry, store) -> None:
    registry.fails("PATCH", upload_registry.takes(1000), upload_registry.takes(600, cut=True))
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == ["0-999", "1000-1999", "1600-2499"]
    assert len(registry.of("GET")) == 1


async def test_chunk__taken_in_part__is_gone_on_with_from_there(registry, store) -> None:
    registry.fails("PATCH", upload_registry.takes(400))
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == ["0-999", "400-1399", "1400-2399", "2400-2499"]


async def test_chunk__each_is_cut_but_more_comes_each_time__arrives(registry, store) -> None:
    registry.fails("PATCH", *[upload_registry.takes(100, cut=True) for _ in range(8)])
    await assert_pushed(store, registry, LAYER)


async def test_chunk__nothing_is_ever_taken__is_given_up(registry, store) -> None:
    registry.fails("PATCH", *[upload_registry.takes(0) for _ in range(9)])
    assert (await _failure(store, registry, LAYER))[0] == FAILED
    assert len(registry.of("PATCH")) == 3


async def test_upload__is_forgotten__begins_anew(registry, store) -> None:
    registry.fails("PATCH", upload_registry.takes(1000), upload_registry.forgets)
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == ["0-999", "1000-1999", *RANGES]


async def test_upload__registry_says_more_than_was_sent__begins_anew(registry, store) -> None:
    registry.fails("PATCH", upload_registry.says(202, Range="0-1700"))
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == ["0-999", *RANGES]


async def test_chunk__out_of_order__is_asked_about(registry, store) -> None:
    registry.fails("PATCH", upload_registry.says(416))
    await assert_pushed(store, registry, LAYER)
    assert (_ranges(registry), len(registry.of("GET"))) == (["0-999", *RANGES], 1)


@pytest.mark.parametrize("status", [400, 405, 413])
async def test_chunks__are_not_taken__the_blob_is_sent_in_one_piece(registry, store, status: int) -> None:
    registry.fails("PATCH", *[upload_registry.says(status, "UNSUPPORTED") for _ in range(9)])
    await assert_pushed(store, registry, LAYER)
    assert [request.size for request in registry.of("PUT") if "uploads" in request.path and request.size] == [
        len(CONFIG),
        len(LAYER),
    ]


async def test_end_of_an_upload__unheard__is_found_out_and_nothing_is_sent_twice(registry, store) -> None:
    registry.fails("PUT", upload_registry.done_unheard, upload_registry.done_unheard)
    await assert_pushed(store, registry, LAYER)
    assert _ranges(registry) == RANGES


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT", "MANIFEST"])
@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_answer__passing_failure__is_tried_again(registry, store, method: str, status: int) -> None:
    registry.fails(method, *[upload_registry.says(status, Retry_After="0") for _ in range(2)])
    await assert_pushed(store, registry, LAYER)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT", "MANIFEST"])
async def test_answer__failure_without_end__is_told(registry, store, method: str) -> None:
    registry.fails(method, *[upload_registry.says(500) for _ in range(20)])
    kind, message = await _failure(store, registry, LAYER)
    assert kind == FAILED
    assert "answers 500" in message


async def test_answer__asks_to_be_left_alone_for_long__is_told_at_once(registry, store) -> None:
    registry.fails("POST", *[upload_registry.says(429, Retry_After="3600") for _ in range(2)])
    assert (await _failure(store, registry, LAYER))[0] == FAILED
    assert len(registry.of("POST")) <= 2


async def test_blob__damaged_in_the_store__is_refused_in_the_registrys_words(registry, store) -> None:
    top = _image(store, LAYER)
    store.content.path(digest.of(LAYER)).write_bytes(LAYER[:-1] + b"x")
    with pytest.raises(errors.InvalidArgument, match=r"400: DIGEST_INVALID: it is \\x1b\[31mnot") as caught:
        await _pushing(store, f"{registry.address}/app:1", []).image(top)
    assert (caught.value.reason, caught.value.hint) == ("ImagePushRefused", "the blob in the store may be damaged")


async def test_blob__shorter_than_it_should_be__is_not_the_registrys_fault(registry, store) -> None:
    top = _image(store, LAYER)
    store.content.path(digest.of(LAYER)).write_bytes(LAYER[:1500])
    with pytest.raises(errors.Unavailable, match="cannot be read: it is shorter") as caught:
        await _pushing(store, f"{registry.address}/app:1", []).image(top)
    assert caught.value.reason == "HostFailure"


async def test_blob__not_in_the_store__is_not_found(registry, store) -> None:
    top = _image(store, LAYER)
    store.content.path(digest.of(LAYER)).unlink()
    with pytest.raises(errors.NotFound) as caught:
        await _pushing(store, f"{registry.address}/app:1", []).image(top)
    assert caught.value.reason == "ContentMissing"


async def test_manifest__taken_for_another__is_refused(registry, store) -> None:
    registry.fails("MANIFEST", upload_registry.says(201, Docker_Content_Digest=digest.of(b"another")))
    assert (await _failure(store, registry, LAYER))[0] == (errors.InvalidArgument, "DigestMismatch")


async def test_manifest__refused__is_told_in_the_registrys_words(registry, store) -> None:
    registry.fails("MANIFEST", upload_registry.says(400, "MANIFEST_INVALID"))
    kind, message = await _failure(store, registry)
    assert kind == REFUSED
    assert message == f"{registry.address} does not take {registry.address}/app:1: 400: MANIFEST_INVALID: no"


async def test_repository__unknown_to_the_registry__is_told(registry, store) -> None:
    registry.fails("POST", upload_registry.says(404, "NAME_UNKNOWN"))
    kind, message = await _failure(store, registry)
    assert kind == REFUSED
    assert "404: NAME_UNKNOWN" in message


async def test_target__pinned_to_another_image__is_refused_before_anything_is_asked(registry, store) -> None:
    with pytest.raises(errors.InvalidArgument, match="names another image"):
        await _pushing(store, f"{registry.address}/app@{digest.of(b'other')}", []).image(_image(store, LAYER))
    assert registry.asked == []


async def test_upload__place_is_not_named__is_told(registry, store) -> None:
    registry.fails("POST", upload_registry.says(202))
    kind, message = await _failure(store, registry)
    assert kind == FAILED
    assert "does not say where" in message


async def test_upload__goes_to_another_host__without_our_login(registry, elsewhere, store, docker_config) -> None:
    (docker_config / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": faulty.LOGIN.removeprefix("Basic ")}}})
    )
    registry.required_login = (faulty.LOGIN, 'Basic realm="x"')
    registry.host = f"http://{elsewhere.address}"
    await _pushing(store, f"{registry.address}/app:1", []).image(_image(store, LAYER))
    assert {request.shown for request in elsewhere.asked} == {""}
    assert set(elsewhere.blobs.values()) == {CONFIG, LAYER}
    assert [request.method for request in registry.asked if request.shown == faulty.LOGIN].count("PATCH") == 0


@pytest.mark.parametrize("challenge", ['Basic realm="x"', "bearer"])
async def test_upload__other_host_asks_for_our_login__does_not_get_it(
    registry, elsewhere, store, docker_config, challenge: str
) -> None:
    (docker_config / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": faulty.LOGIN.removeprefix("Basic ")}}})
    )
    registry.required_login = (faulty.LOGIN, 'Basic realm="x"')
    registry.host = f"http://{elsewhere.address}"
    asks = faulty.bearer(f"http://{elsewhere.address}/token") if challenge == "bearer" else challenge
    elsewhere.required_login = (faulty.LOGIN, asks)
    assert (await _failure(store, registry, LAYER))[0] == FAILED
    assert {request.shown for request in elsewhere.asked} == {""}
    assert {request.method for request in elsewhere.asked} <= {"PUT", "PATCH"}


@pytest.mark.parametrize("location", ["http://registry.example/upload", "//registry.example/upload"])
async def test_upload__to_plain_http_elsewhere__is_refused(registry, store, location: str) -> None:
    registry.fails("POST", upload_registry.says(202, Location=location))
    assert (await _failure(store, registry))[0] == DENIED


@pytest.mark.parametrize("status", [401, 403])
async def test_registry__does_not_let_us__is_told_with_the_way_out(registry, store, status: int) -> None:
    registry.fails("HEAD", *[upload_registry.says(status) for _ in range(4)])
    kind, message = await _failure(store, registry)
    assert kind == DENIED
    assert message == f"{registry.address} does not let us at {registry.address}/app:1"


async def test_mount__neighbour_has_it__nothing_is_sent(registry, store) -> None:
    registry.blobs["base", digest.of(LAYER)] = LAYER
    store.images.sources.note([digest.of(LAYER)], reference.parse(f"{registry.address}/base:1"))
    top = _image(store, LAYER)
    await _pushing(store, f"{registry.address}/app:1", []).image(top)
    assert registry.blobs["app", digest.of(LAYER)] == LAYER
    assert _ranges(registry) == []
    assert store.images.sources.of(digest.of(LAYER), registry.address) == ("app", "base")


async def test_mount__neighbour_has_lost_it__goes_on_with_the_upload_that_is_offered(registry, store) -> None:
    store.images.sources.note([digest.of(LAYER)], reference.parse(f"{registry.address}/base:1"))
    await assert_pushed(store, registry, LAYER)
    assert len(registry.of("POST")) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
async def test_mount__is_refused__the_blob_is_sent(registry, store, status: int) -> None:
    store.images.sources.note([digest.of(CONFIG)], reference.parse(f"{registry.address}/base:1"))
    registry.fails("POST", upload_registry.says(status))
    await assert_pushed(store, registry)


async def test_mount__only_from_the_same_registry(registry, store) -> None:
    store.images.sources.note([digest.of(LAYER)], reference.parse("other.example/base:1"))
    await assert_pushed(store, registry, LAYER)
    assert not [request for request in registry.of("POST") if "mount=" in request.path]


async def test_index__pushes_its_images_before_itself(registry, store) -> None:
    child = _image(store, LAYER)
    child_manifest = store.content.put(mediatypes.MANIFEST, child).document()
    absent = {**child_manifest, "digest": digest.of(b"for another platform")}
    top = json.dumps(
        {"schemaVersion": 2, "mediaType": mediatypes.INDEX, "manifests": [absent, child_manifest]}
    ).encode()
    assert await _pushing(store, f"{registry.address}/app:1", []).image(top) == digest.of(top)
    assert list(registry.manifests) == [("app", digest.of(child)), ("app", "1")]
    assert registry.manifests["app", "1"] == (mediatypes.INDEX, top)


async def test_token__for_two_repositories__is_asked_for_by_two_scopes(registry, other, store) -> None:
    other.answers["/token"] = faulty.says(b'{"token": "granted"}')
    scope = "repository:app:pull,push repository:base:pull"
    challenge = f'Bearer realm="http://{other.address}/token",service="x",scope="{scope}"'
    registry.required_login = ("Bearer granted", challenge)
    await assert_pushed(store, registry, LAYER)
    asked = yarl.URL(other.asked[0][0]).query
    assert asked.getall("scope") == ["repository:app:pull,push", "repository:base:pull"]
