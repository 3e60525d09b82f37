"""Images that must be signed, from Debian's registry, with signatures that the test makes."""

import pathlib
from collections.abc import Iterator

import pytest

from agent.engine import errors
from agent.engine.images import signatures
from agent.oci import digest, mediatypes, platform
from tests import faulty_registry as faulty
from tests import registry, signing

pytestmark = pytest.mark.root


@pytest.fixture
def address(tmp_path: pathlib.Path, busybox_archive: pathlib.Path) -> Iterator[str]:
    """A registry with an image in two repositories, once behind an index."""
    with registry.running(tmp_path / "registry") as running:
        registry.push(busybox_archive, f"{running}/team/app:1")
        registry.push(busybox_archive, f"{running}/other/app:1")
        yield running


@pytest.fixture
def key() -> signing.PrivateKey:
    return signing.key()


@pytest.fixture
def rule(tmp_path: pathlib.Path, key: signing.PrivateKey) -> signatures.Rule:
    return signatures.Rule("127.0.0.1:*/team/*", (signing.public(key, tmp_path / "cosign.pub"),))


def _digest(reference: str) -> str:
    return str(registry.manifest(reference)[1]["digest"])


def _usable(store: registry.Store) -> dict[str, bool]:
    return {one.reference: one.usable for one in store.images.list()}


async def _refused(home: pathlib.Path, reference: str, *rules: signatures.Rule) -> errors.EngineError:
    """Pull what is refused; nothing of it is there then, neither packed nor unpacked."""
    async with registry.opened(home / "store", rules=rules) as store:
        failed = await store.fails(reference)
        assert isinstance(failed, errors.Refused)
        assert (store.images.list(), store.content.digests(), store.snapshots()) == ((), frozenset(), [])
    return failed


async def test_pull__unsigned__is_refused_before_anything_of_it_comes(tmp_path, address, rule) -> None:
    failed = await _refused(tmp_path, f"{address}/team/app:1", rule)
    assert failed.reason == "ImageUnsigned"
    assert f"{address}/team/app:1 is not signed (sign it: cosign sign --key" in str(failed)


async def test_pull__no_rule_is_about_it__needs_no_signature(tmp_path, address, rule) -> None:
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        assert (await store.pull(f"{address}/other/app:1")).size > 0


@pytest.mark.parametrize("kind", ["ecdsa", "p384", "ed25519", "rsa"])
async def test_pull__signed_by_a_key_of_the_rule__is_taken(tmp_path, address, kind: str) -> None:
    made, wanted = signing.key(kind), _digest(f"{address}/team/app:1")
    signing.signed(made, f"{address}/team/app", wanted)
    strangers = signing.public(signing.key(), tmp_path / "strangers.pub")
    told = signatures.Rule(f"{address}/team/app", (strangers, signing.public(made, tmp_path / "made.pub")))
    async with registry.opened(tmp_path / "store", rules=(told,)) as store:
        for name in (f"{address}/team/app:1", f"{address}/team/app@{wanted}"):
            assert (await store.pull(name)).reference == name
        assert len(store.images.list()) == 2


@pytest.mark.parametrize("what", ["index", "image"])
async def test_pull__index__it_or_the_image_that_it_names_is_signed(tmp_path, address, key, rule, what: str) -> None:
    _, child = registry.manifest(f"{address}/team/app:1")
    here = platform.of_machine("x86_64")
    child["platform"] = {"os": here.os, "architecture": here.architecture}
    top = registry.push_index(f"{address}/team/app:many", mediatypes.INDEX, [child])
    signing.signed(key, f"{address}/team/app", top if what == "index" else child["digest"])
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        assert (await store.pull(f"{address}/team/app:many", str(here))).size > 0


async def test_pull__signed_by_another_key__is_refused(tmp_path, address, rule) -> None:
    signing.signed(signing.key(), f"{address}/team/app", _digest(f"{address}/team/app:1"))
    failed = await _refused(tmp_path, f"{address}/team/app:1", rule)
    assert (failed.reason, "is signed by none of the rule's keys" in str(failed)) == ("SignatureRefused", True)


async def test_pull__signature_of_another_image__is_refused(tmp_path, address, key, rule) -> None:
    wanted = _digest(f"{address}/team/app:1")
    data = signing.payload("sha256:" + "0" * 64, f"{address}/team/app")
    signing.push(f"{address}/team/app", wanted, (data, signing.sign(key, data)))
    failed = await _refused(tmp_path, f"{address}/team/app:1", rule)
    assert (failed.reason, "is signed of another image" in str(failed)) == ("SignatureRefused", True)


async def test_pull__signature_for_another_repository__is_refused(tmp_path, address, key, rule) -> None:
    wanted = _digest(f"{address}/team/app:1")
    data = signing.payload(wanted, f"{address}/other/app")
    signing.push(f"{address}/team/app", wanted, (data, signing.sign(key, data)))
    failed = await _refused(tmp_path, f"{address}/team/app:1", rule)
    assert (failed.reason, "is signed of another repository" in str(failed)) == ("SignatureRefused", True)


async def test_pull__payload_changed_after_it_was_signed__is_refused(tmp_path, address, key, rule) -> None:
    wanted = _digest(f"{address}/team/app:1")
    made = signing.sign(key, signing.payload("sha256:" + "0" * 64, f"{address}/team/app"))
    signing.push(f"{address}/team/app", wanted, (signing.payload(wanted, f"{address}/team/app"), made))
    assert (await _refused(tmp_path, f"{address}/team/app:1", rule)).reason == "SignatureRefused"


async def test_pull__right_signature_among_wrong_ones__is_found(tmp_path, address, key, rule) -> None:
    wanted = _digest(f"{address}/team/app:1")
    data = signing.payload(wanted, f"{address}/team/app")
    right = (data, signing.sign(key, data))
    signing.push(f"{address}/team/app", wanted, (b"{}", b"x"), (b"[[[", signing.sign(key, b"[[[")), right)
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        assert (await store.pull(f"{address}/team/app:1")).size > 0


@pytest.mark.parametrize(
    "layer",
    [
        {"mediaType": "text/plain", "digest": "sha256:" + "1" * 64, "size": 1},
        {"mediaType": signatures.PAYLOAD, "digest": "sha256:" + "1" * 64, "size": 1},
        {"annotations": {"dev.cosignproject.cosign/signature": "no base64 \u00e9"}},
        {"annotations": {"dev.cosignproject.cosign/signature": "QUJD" * 10_000}},
        {"size": 1_000_000},
    ],
    ids=["other type", "no signature", "no base64", "huge signature", "huge payload"],
)
async def test_pull__signatures_that_nobody_can_read__are_refused(tmp_path, address, rule, layer) -> None:
    blob = registry.push_blob(f"{address}/team/app", b"{}")
    sound = {"mediaType": signatures.PAYLOAD, "annotations": {"dev.cosignproject.cosign/signature": "QUJD"}}
    told = layer if "digest" in layer else {**blob, **sound, **layer}
    told = {**told, "digest": blob["digest"]}
    signing.push_manifest(f"{address}/team/app", _digest(f"{address}/team/app:1"), [told])
    failed = await _refused(tmp_path, f"{address}/team/app:1", rule)
    assert (failed.reason, "in a way that nobody can read" in str(failed)) == ("SignatureRefused", True)


async def test_pull__key_that_is_none__is_told_and_nothing_is_taken(tmp_path, address) -> None:
    broken = tmp_path / "broken.pub"
    broken.write_text("no key")
    weak = signing.public(signing.key("weak"), tmp_path / "weak.pub")
    for path, why in ((broken, "is no public key"), (tmp_path / "gone", "cannot be read"), (weak, "of another kind")):
        failed = await _refused(tmp_path, f"{address}/team/app:1", signatures.Rule("*", (path,)))
        assert (failed.reason, str(path) in str(failed), why in str(failed)) == ("KeyUnusable", True, True)


async def test_rule__made_later__bars_what_is_there_until_it_is_found_signed(tmp_path, address, key, rule) -> None:
    name = f"{address}/team/app:1"
    async with registry.opened(tmp_path / "store") as store:
        await store.pull(name)
        store.images.tag(name, "localhost/kept:1", ())
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        assert _usable(store) == {name: False, "localhost/kept:1": True}
        for use in (store.images.get, store.images.manifest):
            with pytest.raises(errors.Refused, match="must be signed"):
                use(name)
        assert (await store.fails(name)).reason == "ImageUnsigned"
        signing.signed(key, f"{address}/team/app", _digest(name))
        assert (await store.pull(name)).reference == name
        assert store.images.get(name).size > 0
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        assert _usable(store) == {name: True, "localhost/kept:1": True}, "it is remembered"
    other = signatures.Rule("*/team/*", (signing.public(signing.key(), tmp_path / "other.pub"),))
    async with registry.opened(tmp_path / "store", rules=(other,)) as store:
        assert _usable(store) == {name: False, "localhost/kept:1": True}, "another key, another word"


async def test_rule__ways_round_it__are_closed(tmp_path, address, key, rule, busybox_archive) -> None:
    name = f"{address}/team/app:2"
    async with registry.opened(tmp_path / "store", rules=(rule,)) as store:
        await store.pull(f"{address}/other/app:1")
        with pytest.raises(errors.Refused, match="pull it from its registry") as caught:
            store.images.tag(f"{address}/other/app:1", name, ())
        assert caught.value.reason == "ImageUnsigned"
        with pytest.raises(errors.Refused, match="no signature of this image is known"):
            await store.images.load(busybox_archive, name, (), store.stages.append)
        assert [one.reference for one in store.images.list()] == [f"{address}/other/app:1"]
        signing.signed(key, f"{address}/team/app", _digest(f"{address}/team/app:1"))
        await store.pull(f"{address}/team/app:1")
        store.images.tag(f"{address}/team/app:1", name, ())
        assert store.images.get(name).reference == name, "the same image of the same repository is signed"


@pytest.mark.parametrize("fault", [faulty.says(b"", 500), faulty.says(b"", 403), faulty.cuts])
async def test_pull__registry_that_does_not_say_whether_it_is_signed__is_no_unsigned_image(
    tmp_path, server, rule, fault: faulty.Answer
) -> None:
    server.answers[f"/v2/app/manifests/{signatures.place(digest.of(faulty.MANIFEST))}"] = fault
    told = signatures.Rule("*", rule.keys)
    async with registry.opened(tmp_path / "store", rules=(told,)) as store:
        failed = await store.fails(server.image)
    assert failed.reason in {"ImagePullFailed", "ImagePullDenied"}
    assert faulty.CONFIG_PATH not in [path for path, _ in server.asked]
