"""Registries that lie about signatures, break off, or have too much of them: refused or asked again, never believed."""

import json
import pathlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.distribution.registry import hosts
from agent.engine.images import signatures
from agent.oci import digest, mediatypes, simple_signing
from tests import faulty_registry as faulty
from tests import registry, signing

IMAGE = digest.of(faulty.MANIFEST)
PATH = signing.path(IMAGE)
RIGHT = signing.payload(IMAGE)
PAYLOAD_PATH = f"/v2/app/blobs/{digest.of(RIGHT)}"
REFUSED = ("InvalidArgument", "SignatureRefused")
UNAVAILABLE = ("Unavailable", "ImagePullFailed")


@pytest.fixture
def signer(tmp_path: pathlib.Path) -> signing.Signer:
    """The key that must have signed the images that are pulled."""
    return signing.signer(tmp_path)


@pytest.fixture
async def guarded(tmp_path: pathlib.Path, signer) -> AsyncIterator[registry.Store]:
    """An image store in which everything must be signed; nothing of what is refused is in it."""
    async with registry.opened(tmp_path / "guarded", rules=(signer.rule("*"),)) as opened:
        yield opened


def _says(document: object) -> faulty.Answer:
    return faulty.says(json.dumps(document).encode())


def _nothing(store: registry.Store, server: faulty.Server) -> bool:
    asked = server.count(faulty.CONFIG_PATH) + server.count(faulty.LAYER_PATH)
    return (store.content.digests(), store.snapshots(), store.images.list(), asked) == (frozenset(), [], (), 0)


def _many(count: int, **fields: Any) -> dict[str, Any]:
    return signing.manifest(*[{**signing.layer(RIGHT, b"signature"), **fields}] * count)


MANIFESTS = {
    "nothing": faulty.says(b""),
    "no JSON": faulty.says(b"<html>not found</html>"),
    "binary": faulty.says(b"\xff\0" * 1000),
    "deep": faulty.says(b"[" * 100_000),
    "null": _says(None),
    "list": _says([]),
    "text": _says("signed"),
    "no layers": _says(signing.manifest()),
    "layers of another type": _says(faulty.IMAGE),
    "an index": _says({"schemaVersion": 2, "mediaType": mediatypes.INDEX, "manifests": []}),
    "layers and manifests": _says({**_many(1), "manifests": []}),
    "no config": _says({"layers": []}),
    "layers are an object": _says({**_many(1), "layers": {"0": {}}}),
    "a layer is a number": _says({**_many(1), "layers": [1]}),
    "annotations are a list": _says(_many(1, annotations=["a"])),
    "an annotation is a number": _says(_many(1, annotations={simple_signing.ANNOTATION: 1})),
    "an annotation is NUL": _says(_many(1, annotations={simple_signing.ANNOTATION: "\0"})),
    "no annotations": _says(_many(1, annotations=None)),
    "a digest is a path": _says(_many(1, digest="sha256:../../../etc/passwd")),
    "a digest is a list": _says(_many(1, digest=[])),
    "a size is negative": _says(_many(1, size=-1)),
    "a size is a text": _says(_many(1, size="1")),
    "a payload is huge": _says(_many(1, size=1 << 40)),
    "thousands of layers": _says(_many(5000)),
    "hundreds of layers": _says(_many(400)),
    "too large": faulty.says(json.dumps(_many(1)).encode() + b" " * 5_000_000),
    "without end": faulty.streams(None, b" " * 65536, endlessly=True),
}


@pytest.mark.parametrize("what", MANIFESTS)
async def test_pull__a_manifest_of_signatures_is_hostile__is_refused(server, guarded, what: str) -> None:
    server.answers[PAYLOAD_PATH] = faulty.says(RIGHT)
    server.answers[PATH] = MANIFESTS[what]
    begun = time.monotonic()
    assert await guarded.failure(server.image) == REFUSED
    assert time.monotonic() - begun < 5
    assert _nothing(guarded, server)


PAYLOADS = {
    "wrong": faulty.says(b"x" * len(RIGHT)),
    "short": faulty.says(RIGHT[:-1]),
    "long": faulty.says(RIGHT + b" "),
    "missing": faulty.says(b"", 404),
    "too large": faulty.says(RIGHT + b" " * 5_000_000),
    "without end": faulty.streams(None, RIGHT, endlessly=True),
}


@pytest.mark.parametrize("what", PAYLOADS)
async def test_pull__a_payload_is_not_what_was_announced__is_refused(server, guarded, signer, what: str) -> None:
    signing.serve(server, IMAGE, signer.signed(RIGHT))
    server.answers[PAYLOAD_PATH] = PAYLOADS[what]
    assert await guarded.failure(server.image) == REFUSED
    assert _nothing(guarded, server)


UNREACHABLE = {
    "cuts": faulty.cuts,
    "breaks off": faulty.streams(100, b"{"),
    "500": faulty.says(b"", 500),
    "503": faulty.says(b"", 503),
    "429": faulty.says(b"", 429),
    "400": faulty.says(b"", 400),
    "redirects without end": faulty.redirects("/round"),
    "not now": faulty.says(b"", 429, Retry_After="99999"),
}


@pytest.mark.parametrize("where", ["manifest", "payload"])
@pytest.mark.parametrize("what", UNREACHABLE)
async def test_pull__signatures_cannot_be_asked_for__is_unavailable_and_never_unsigned(
    server, guarded, signer, what: str, where: str
) -> None:
    signing.serve(server, IMAGE, signer.signed(RIGHT))
    server.answers[PATH if where == "manifest" else PAYLOAD_PATH] = UNREACHABLE[what]
    server.answers["/round"] = faulty.redirects("/round")
    assert await guarded.failure(server.image) == UNAVAILABLE
    assert _nothing(guarded, server)


async def test_pull__signatures_are_not_for_us__is_denied(server, guarded) -> None:
    server.answers[PATH] = faulty.says(b"", 403)
    assert await guarded.failure(server.image) == ("InvalidArgument", "ImagePullDenied")


async def test_pull__one_payload_cannot_be_asked_for__another_signature_counts(server, guarded, signer) -> None:
    broken = signing.payload(IMAGE, f"{server.address}/app")
    signing.serve(server, IMAGE, signer.signed(RIGHT), signer.signed(broken))
    server.answers[f"/v2/app/blobs/{digest.of(broken)}"] = faulty.says(b"", 500)
    assert (await guarded.pull(server.image)).size > 0


async def test_pull__fails_twice__is_verified_the_third_time(server, guarded, signer) -> None:
    signing.serve(server, IMAGE, signer.signed(RIGHT))
    for path in (PATH, PAYLOAD_PATH):
        server.answers[path] = faulty.in_turn(faulty.cuts, faulty.says(b"", 503), server.answers[path])
    assert (await guarded.pull(server.image)).size > 0


async def test_pull__many_signatures__the_latest_are_looked_at(server, guarded, signer) -> None:
    signing.serve(server, IMAGE, *[(RIGHT, b"old")] * 300, signer.signed(RIGHT), *[(RIGHT, b"new")] * 31)
    await guarded.pull(server.image)
    assert server.count(PAYLOAD_PATH) == 1


async def test_pull__many_payloads__a_bounded_number_is_fetched(server, guarded) -> None:
    payloads = [signing.payload(IMAGE, f"{server.address}/app{'x' * number}") for number in range(100)]
    signing.serve(server, IMAGE, *[(data, b"garbage") for data in payloads])
    server.asked.clear()
    assert await guarded.failure(server.image) == REFUSED
    assert len(server.asked) == 2 + 32


async def test_pull__verified_before__signatures_are_not_asked_for_again(server, guarded, signer) -> None:
    signing.serve(server, IMAGE, signer.signed(RIGHT))
    await guarded.pull(server.image)
    await guarded.pull(server.image)
    assert server.count(PATH) == 1


async def test_pull__a_registry_answers_for_the_tag_of_signatures_with_another_images__is_refused(
    server, guarded, signer
) -> None:
    elsewhere = digest.of(b"another")
    signing.serve(server, elsewhere, signer.signed(signing.payload(elsewhere)))
    server.answers[PATH] = server.answers[signing.path(elsewhere)]
    assert await guarded.failure(server.image) == REFUSED


@pytest.mark.parametrize("stale", ["none", "others", "broken"])
async def test_pull__a_mirror_knows_no_signature_that_counts__the_registrys_own_word_does(
    server, other, tmp_path, signer, stale: str
) -> None:
    signing.serve(server, IMAGE, signer.signed(RIGHT))
    if stale != "none":
        signing.serve(other, IMAGE, signing.signer(tmp_path, name="other").signed(RIGHT))
    if stale == "broken":
        other.answers[PATH] = faulty.cuts
    other.answers[faulty.MANIFEST_PATH] = faulty.says(faulty.MANIFEST)
    places = hosts.Hosts((hosts.Host(server.address, (f"http://{other.address}",)),))
    async with registry.opened(tmp_path / "mirrored", places, (signer.rule("*"),)) as store:
        assert (await store.pull(server.image)).size > 0


async def test_pull__a_mirror_gives_an_unsigned_image__is_refused(server, other, tmp_path, signer) -> None:
    signing.serve(server, IMAGE, signer.signed(RIGHT))
    other.answers[faulty.MANIFEST_PATH] = _says({**faulty.IMAGE, "annotations": {"evil": "yes"}})
    places = hosts.Hosts((hosts.Host(server.address, (f"http://{other.address}",)),))
    async with registry.opened(tmp_path / "mirrored", places, (signer.rule("*"),)) as store:
        assert await store.failure(server.image) == ("InvalidArgument", "ImageUnsigned")


async def test_pull__no_rule_is_for_it__signatures_are_not_asked_for(server, tmp_path) -> None:
    rule = signatures.Rule("registry.example/*", (tmp_path / "missing.pub",))
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        await store.pull(server.image)
    assert server.count(PATH) == 0
