"""Signed images, pulled from a real registry: only what one of a rule's keys has signed is fetched and used."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent import errors
from agent.engine.images import signatures
from agent.oci import digest, mediatypes
from tests import faulty_registry as faulty
from tests import registry, signing

pytestmark = [pytest.mark.root, pytest.mark.engine]

IMAGE = digest.of(faulty.MANIFEST)
ATTEMPTS = (
    *("wrong key", "another image's", "another repository's", "another type", "tampered"),
    *("of nothing", "of the digest", "garbage", "empty", "large"),
)


@pytest.fixture
def address(tmp_path: pathlib.Path) -> Iterator[str]:
    """A registry with two images, ``team/app:1`` and ``team/other:1``, of which the first is also ``team/copy:1``."""
    with registry.running(tmp_path / "registry") as served_address:
        for name, more in (("team/app", {}), ("team/other", {"annotations": {"a": "b"}}), ("team/copy", {})):
            for blob in (faulty.CONFIG, faulty.LAYER):
                registry.push_blob(f"{served_address}/{name}", blob)
            registry.push_manifest(f"{served_address}/{name}:1", {**faulty.IMAGE, **more})
        yield served_address


@pytest.fixture
def app(address) -> str:
    """The repository of the image that is pulled."""
    return f"{address}/team/app"


@pytest.fixture
def signer(tmp_path) -> signing.Signer:
    """The key that must have signed the images that are pulled."""
    return signing.signer(tmp_path)


@contextlib.asynccontextmanager
async def _guarded(home: pathlib.Path, *rules: signatures.Rule) -> AsyncIterator[registry.Store]:
    async with registry.opened(home / "store", rules=rules) as opened:
        yield opened


async def _refused(home: pathlib.Path, name: str, *rules: signatures.Rule) -> errors.Failure:
    """Fail to pull, with nothing fetched, kept or remembered."""
    async with _guarded(home, *rules) as store:
        failed = await store.fails(name)
        assert isinstance(failed, errors.InvalidArgument)
        assert (store.content.digests(), store.snapshots(), store.images.list()) == (frozenset(), [], ())
        assert [stage.message for stage in store.stages] == [f"resolving {name}"]
        with pytest.raises(errors.NotFound):
            store.images.runnable(name)
    return failed


async def assert_used(home: pathlib.Path, name: str, *rules: signatures.Rule, platform: str = "") -> None:
    async with _guarded(home, *rules) as store:
        pulled = await store.pull(name, platform)
        assert store.images.runnable(name) == pulled
        assert [image.verified for image in store.images.list()] == [True]


@pytest.mark.parametrize("kind", signing.KINDS)
@pytest.mark.parametrize("name", ["1", f"1@{IMAGE}"], ids=["tag", "digest"])
async def test_pull__signed_by_the_key__is_used(tmp_path, app, kind: str, name: str) -> None:
    signer = signing.signer(tmp_path, kind)
    signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
    await assert_used(tmp_path, f"{app}:{name}", signer.rule("127.0.0.1:*/team/*"))


async def test_pull__signed_by_one_of_several_keys_among_other_signatures__is_used(tmp_path, app, signer) -> None:
    others = [signing.signer(tmp_path, kind, kind) for kind in signing.KINDS]
    signed = [other.signed(signing.payload(IMAGE, app)) for other in others]
    signing.push(app, IMAGE, *signed[:2], signer.signed(signing.payload(IMAGE)), *signed[2:])
    rule = signatures.Rule("*", (signing.signer(tmp_path, "RSA", "unused").path, signer.path))
    await assert_used(tmp_path, f"{app}:1", rule)


async def test_pull__no_rule_for_it__need_not_be_signed(tmp_path, app, signer) -> None:
    await assert_used(tmp_path, f"{app}:1", signer.rule("*/team/other"))


async def test_pull__not_signed__is_refused_and_says_what_to_do(tmp_path, app, signer) -> None:
    failed = await _refused(tmp_path, f"{app}:1", signer.rule("*/team/*"))
    assert failed.reason == "ImageUnsigned"
    assert failed.message == f"{app}:1 is not signed, and images of */team/* must be signed by {signer.path}"
    assert failed.hint.startswith(f"cosign sign --key cosign.key {app}@{IMAGE} (cosign 3: with --new-bundle-format=")


@pytest.fixture
def index(app) -> str:
    """``team/app:all``: the image for amd64, and another one for arm64. Gives its digest."""
    registry.push_manifest(f"{app}:arm64", {**faulty.IMAGE, "annotations": {"made": "for arm"}})
    entries = []
    for tag, architecture in (("1", "amd64"), ("arm64", "arm64")):
        _, entry = registry.manifest(f"{app}:{tag}")
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    return registry.push_index(f"{app}:all", mediatypes.INDEX, entries)


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("what", ["index", "manifest", "both"])
async def test_pull__index__is_signed_itself_or_what_it_leads_to(tmp_path, app, signer, index, what, by) -> None:
    for image in {"index": [index], "manifest": [IMAGE], "both": [IMAGE, index]}[what]:
        signing.push(app, image, signer.signed(signing.payload(image, app)))
    name = f"{app}:all" if by == "tag" else f"{app}@{index}"
    await assert_used(tmp_path, name, signer.rule("*"), platform="linux/amd64")


@pytest.mark.usefixtures("index")
async def test_pull__index__another_platforms_manifest_is_signed__is_refused(tmp_path, app, signer) -> None:
    signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
    async with _guarded(tmp_path, signer.rule("*")) as store:
        assert await store.failure(f"{app}:all", "linux/arm64") == ("InvalidArgument", "ImageUnsigned")
        await store.pull(f"{app}:all", "linux/amd64")


@pytest.fixture
def other(tmp_path) -> signing.Signer:
    """A signer whose key no rule names."""
    return signing.signer(tmp_path, name="other")


def _attempts(app: str, signer: signing.Signer, other: signing.Signer) -> dict[str, tuple[Any, str]]:
    """Return signatures that do not count, with what is said of each."""
    right = signing.payload(IMAGE, app)
    elsewhere = digest.of(b"another image")
    tampered = right.replace(b'"optional": null', b'"optional": {}')
    return {
        "wrong key": (other.signed(right), "a signature is by none of the keys"),
        "another image's": (
            signer.signed(signing.payload(elsewhere, app)),
            f"a signature is of another image, {elsewhere}",
        ),
        "another repository's": (
            signer.signed(signing.payload(IMAGE, "registry.example/evil/app")),
            "a signature is for registry.example/evil/app, and not for this repository",
        ),
        "another type": (
            signer.signed(signing.payload(IMAGE, app, "atomic container signature")),
            "payload.critical.type must be 'cosign container image signature'",
        ),
        "tampered": ((tampered, signer.sign(right)), "a signature is by none of the keys"),
        "of nothing": ((right, signer.sign(b"")), "a signature is by none of the keys"),
        "of the digest": (signer.signed(IMAGE.encode()), "payload is not a JSON object"),
        "garbage": ((right, "no base64"), "a signature is not Base64"),
        "empty": ((right, ""), "a signature of 0 characters is none"),
        "large": (signer.signed(right + b" " * 70_000), "a signature's payload of 70"),
    }


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_pull__a_signature_that_does_not_count__is_refused_and_says_why(
    tmp_path, app, signer, other, attempt: str
) -> None:
    signed, why = _attempts(app, signer, other)[attempt]
    signing.push(app, IMAGE, signed)
    failed = await _refused(tmp_path, f"{app}:1", signer.rule("*"))
    assert failed.reason == "SignatureRefused"
    assert f"{app}:1 has no signature that counts ({why}" in failed.message


async def test_pull__signatures_copied_from_another_repository__are_refused(tmp_path, address, app, signer) -> None:
    """Whoever may push can copy an image with its signatures; where it was signed for is in what was signed."""
    signing.push(f"{address}/team/copy", IMAGE, signer.signed(signing.payload(IMAGE, app)))
    failed = await _refused(tmp_path, f"{address}/team/copy:1", signer.rule("*"))
    assert (failed.reason, f"is for {app}" in failed.message) == ("SignatureRefused", True)


async def test_pull__signed_before_it_was_pushed_anew__is_refused(tmp_path, app, signer) -> None:
    signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
    registry.push_manifest(f"{app}:1", {**faulty.IMAGE, "annotations": {"a": "b"}})
    assert (await _refused(tmp_path, f"{app}:1", signer.rule("*"))).reason == "ImageUnsigned"


async def test_pull__signed_at_last__is_used(tmp_path, app, signer, other) -> None:
    async with _guarded(tmp_path, signer.rule("*")) as store:
        assert await store.failure(f"{app}:1") == ("InvalidArgument", "ImageUnsigned")
        signing.push(app, IMAGE, other.signed(signing.payload(IMAGE, app)))
        assert await store.failure(f"{app}:1") == ("InvalidArgument", "SignatureRefused")
        signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
        await store.pull(f"{app}:1")


async def test_pull__a_key_cannot_be_read__is_refused_with_its_file(tmp_path, app, signer) -> None:
    signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
    failed = await _refused(tmp_path, f"{app}:1", signatures.Rule("*", (signer.path, tmp_path / "missing.pub")))
    assert (failed.reason, "missing.pub" in failed.message) == ("SignatureKeyInvalid", True)


async def test_get__a_rule_comes_later__is_refused_until_it_is_pulled_again(tmp_path, app, signer) -> None:
    name = f"{app}:1"
    await assert_used(tmp_path, name)
    async with _guarded(tmp_path, signer.rule("*")) as store:
        assert [image.verified for image in store.images.list()] == [False]
        with pytest.raises(errors.InvalidArgument) as caught:
            store.images.runnable(name)
        assert caught.value.reason == "ImageUnverified"
        assert await store.failure(name) == ("InvalidArgument", "ImageUnsigned")
        assert [image.verified for image in store.images.list()] == [False]
        signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
        store.stages.clear()
        pulled = await store.pull(name)
        assert {(stage.done, stage.total) for stage in store.stages} == {(0, 0)}
        assert store.images.runnable(name) == pulled


async def test_get__verified_once__needs_no_registry_until_the_key_is_another(tmp_path, signer, other) -> None:
    rule = signer.rule("*")
    with registry.running(tmp_path / "gone") as address:
        app = f"{address}/app"
        for blob in (faulty.CONFIG, faulty.LAYER):
            registry.push_blob(app, blob)
        registry.push_manifest(f"{app}:1", faulty.IMAGE)
        signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
        await assert_used(tmp_path, f"{app}:1", rule)
    async with _guarded(tmp_path, rule) as store:
        await store.images.collector.sweep()
        assert store.images.runnable(f"{app}:1").reference == f"{app}:1"
    async with _guarded(tmp_path, other.rule("*")) as store:
        with pytest.raises(errors.InvalidArgument):
            store.images.runnable(f"{app}:1")
        assert await store.failure(f"{app}:1") == ("Unavailable", "ImagePullFailed")


async def test_tag__to_a_name_that_must_be_signed__is_refused_unless_this_image_is(tmp_path, address, signer) -> None:
    app, other = f"{address}/team/app", f"{address}/team/other"
    signing.push(app, IMAGE, signer.signed(signing.payload(IMAGE, app)))
    async with _guarded(tmp_path, signer.rule("*/app")) as store:
        await store.pull(f"{other}:1")
        with pytest.raises(errors.InvalidArgument) as caught:
            store.images.tag(f"{other}:1", f"{app}:1", ())
        assert caught.value.reason == "ImageUnverified"
        await store.pull(f"{app}:1")
        with pytest.raises(errors.InvalidArgument):
            store.images.tag(f"{other}:1", f"{app}:1", ())
        store.images.tag(f"{app}:1", f"{app}:2", ())
        assert store.images.runnable(f"{app}:2").id == store.images.runnable(f"{app}:1").id
        store.images.tag(f"{app}:1", f"{other}:2", ())


async def test_remove__not_verified__goes_as_every_image(tmp_path, app, signer) -> None:
    await assert_used(tmp_path, f"{app}:1")
    async with _guarded(tmp_path, signer.rule("*")) as store:
        await store.images.remove(f"{app}:1")
        assert (store.images.list(), store.content.digests()) == ((), frozenset())
