"""What cosign signs, and where it keeps that: read strictly, for a registry's word is a stranger's."""

import base64
import json
from typing import Any

import pytest

from agent.oci import descriptor, document, mediatypes, reference, simple_signing
from tests import signing

DIGEST = "sha256:" + "ab" * 32


def _payload(**critical: Any) -> bytes:
    critical_fields = {
        "type": simple_signing.TYPE,
        "image": {"docker-manifest-digest": DIGEST},
        "identity": {"docker-reference": "registry.example/app"},
    }
    return json.dumps({"critical": {**critical_fields, **critical}, "optional": {"creator": "x"}}).encode()


def _layer(**annotations: str) -> descriptor.Descriptor:
    return descriptor.Descriptor(simple_signing.MEDIA_TYPE, DIGEST, 1, annotations=tuple(annotations.items()))


def test_tag__is_made_of_the_digest() -> None:
    assert simple_signing.tag(DIGEST) == f"sha256-{'ab' * 32}.sig"


def test_read__as_cosign_writes_it__says_image_and_name() -> None:
    name = reference.parse("registry.example/app")
    assert simple_signing.read(_payload()) == simple_signing.Payload(DIGEST, name)


@pytest.mark.parametrize("identity", [{}, None, {"docker-reference": ""}, {"docker-reference": None}])
def test_read__names_nobody__is_for_any_name(identity: object) -> None:
    assert simple_signing.read(_payload(identity=identity)).name is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 60_000,
        b'{"critical": []}',
        _payload(type="atomic container signature"),
        _payload(type=None),
        _payload(type=["cosign container image signature"]),
        _payload(image=None),
        _payload(image=[]),
        _payload(image={"docker-manifest-digest": "sha256:beef"}),
        _payload(image={"docker-manifest-digest": 1}),
        _payload(image={"Docker-manifest-digest": DIGEST}),
        _payload(identity="registry.example/app"),
        _payload(identity={"docker-reference": ["registry.example/app"]}),
        _payload(identity={"docker-reference": "registry.example/UPPER"}),
        _payload(identity={"docker-reference": "a\0b"}),
    ],
)
def test_read__no_payload_of_an_image__is_malformed(data: bytes) -> None:
    with pytest.raises(document.Malformed):
        simple_signing.read(data)


def test_signatures__among_other_layers__are_those_of_the_type_in_their_order() -> None:
    layers = [signing.layer(b"1", b"a"), {**signing.layer(b"2", b"b"), "mediaType": "text/plain"}]
    layers.append(signing.layer(b"3", b"c"))
    layers_signed = simple_signing.signatures(json.dumps(signing.manifest(*layers)).encode())
    assert [simple_signing.signature(layer) for layer in layers_signed] == [b"a", b"c"]


@pytest.mark.parametrize(
    "document_",
    [
        signing.manifest(),
        signing.manifest({**signing.layer(b"1", b"a"), "annotations": {"a": 1}}),
        signing.manifest({**signing.layer(b"1", b"a"), "annotations": [1]}),
        signing.manifest({**signing.layer(b"1", b"a"), "digest": "sha256:1"}),
        signing.manifest({**signing.layer(b"1", b"a"), "size": -1}),
        signing.manifest(*[signing.layer(b"1", b"a")] * 5000),
        {**signing.manifest(), "layers": {}},
        {**signing.manifest(), "layers": [[]]},
        {"schemaVersion": 2, "mediaType": mediatypes.INDEX, "manifests": []},
        [],
    ],
)
def test_signatures__no_manifest_of_them__is_malformed(document_: object) -> None:
    with pytest.raises(document.Malformed):
        simple_signing.signatures(json.dumps(document_).encode())


@pytest.mark.parametrize("text", ["", "a", "!!!!", "YQ==\n", "YQ", "ü", "A" * 100_000])
def test_signature__no_base64__is_malformed(text: str) -> None:
    with pytest.raises(document.Malformed):
        simple_signing.signature(_layer(**{simple_signing.ANNOTATION: text}))


def test_signature__is_not_said__is_malformed() -> None:
    with pytest.raises(document.Malformed):
        simple_signing.signature(_layer(signature=base64.b64encode(b"a").decode()))
