"""Documents that nobody should have written: refused as ``Malformed`` with the place, and never with anything else."""

import contextlib
import functools
import json
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.oci import descriptor, document, image_config, manifest, mediatypes

SHA = "sha256:" + "a" * 64
LAYER: dict[str, Any] = {"mediaType": mediatypes.LAYER_GZIP, "digest": SHA, "size": 3}
CONFIG: dict[str, Any] = {"mediaType": mediatypes.CONFIG, "digest": SHA, "size": 3}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatypes.MANIFEST, "config": CONFIG, "layers": [LAYER]}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": mediatypes.INDEX,
    "manifests": [
        {
            **LAYER,
            "mediaType": mediatypes.MANIFEST,
            "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
            "annotations": {"a": "b"},
        }
    ],
}
RUN: dict[str, Any] = {
    "os": "linux",
    "architecture": "amd64",
    "variant": "v2",
    "config": {
        "Entrypoint": ["/a"],
        "Cmd": ["b"],
        "Env": ["A=1"],
        "WorkingDir": "/w",
        "User": "u",
        "StopSignal": "SIGINT",
        "Labels": {"a": "1"},
        "Volumes": {"/v": {}},
    },
    "rootfs": {"type": "layers", "diff_ids": [SHA]},
}

_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(SHA)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Name every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner_path for key, item in inner for inner_path in _places(item, (*path, key)))]


def _strings(whole: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Name every place of a document with a string in it that somebody reads."""
    places = [path for path in _places(whole) if path != ("rootfs", "type")]
    return [path for path in places if isinstance(functools.reduce(operator.getitem, path, whole), str)]


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """Return a document with something else in one place."""
    if not path:
        return by
    head, *remaining = path
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[head] = _replaced(value[head], tuple(remaining), by)
    return copied


@given(st.data(), st.sampled_from([IMAGE, INDEX, RUN]), _anything)
def test_document__with_anything_anywhere__is_read_or_malformed(data: st.DataObject, whole: Any, strange: Any) -> None:
    spoiled = json.dumps(_replaced(whole, data.draw(st.sampled_from(_places(whole))), strange)).encode()
    for read in (manifest.parse, image_config.parse):
        result: object = document.Malformed
        with contextlib.suppress(document.Malformed):
            result = read(spoiled)
        assert result is not None


@given(st.binary(max_size=100), st.sampled_from(["", mediatypes.MANIFEST, mediatypes.INDEX, "text/html"]))
def test_document__of_any_bytes__is_malformed(data: bytes, media_type: str) -> None:
    with pytest.raises(document.Malformed):
        manifest.parse(b"\x00" + data, media_type)
    with pytest.raises(document.Malformed):
        image_config.parse(b"\x00" + data)


@pytest.mark.parametrize("path", _strings(RUN))
@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text__with_what_no_path_or_argument_can_have__is_refused(path: tuple[Any, ...], text: str) -> None:
    with pytest.raises(document.Malformed):
        image_config.parse(json.dumps(_replaced(RUN, path, text)).encode())


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize("member", ["Labels", "Volumes"])
def test_name__with_what_no_path_can_have__is_refused(member: str, name: str) -> None:
    with pytest.raises(document.Malformed) as caught:
        image_config.parse(json.dumps({"config": {member: {name: "x"}}}).encode())
    assert str(caught.value).startswith(f"image config.config.{member} must ")


@pytest.mark.parametrize(
    "data", [b'{"a": "\xed\xa0\x80"}', b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf{}"]
)
def test_document__not_in_utf8__is_malformed(data: bytes) -> None:
    with pytest.raises(document.Malformed, match="manifest is not a JSON object"):
        document.parse(data, "manifest")


@pytest.mark.parametrize("size", [0, 3, 1 << 50])
def test_size__up_to_a_pebibyte__is_taken(size: int) -> None:
    assert descriptor.read(document.node("d", {**LAYER, "size": size})).size == size


@pytest.mark.parametrize("size", [(1 << 50) + 1, 10**400, -1, 3.0, "3", None, True, []])
def test_size__that_is_none_or_absurd__is_refused(size: object) -> None:
    with pytest.raises(document.Malformed, match=r"^d\.size "):
        descriptor.read(document.node("d", {**LAYER, "size": size}))


def test_size__with_more_digits_than_python_reads__is_malformed() -> None:
    data = json.dumps(IMAGE).replace('"size": 3', f'"size": {"9" * 5000}').encode()
    with pytest.raises(document.Malformed, match="manifest is not a JSON object"):
        manifest.parse(data)


@pytest.mark.parametrize("name", ["digest", "size"])
def test_descriptor__lacks_what_it_must_have__is_refused(name: str) -> None:
    with pytest.raises(document.Malformed, match=rf"^manifest\.layers\[0\]\.{name} must be"):
        manifest.parse(json.dumps({**IMAGE, "layers": [{k: v for k, v in LAYER.items() if k != name}]}).encode())


@pytest.mark.parametrize(("present", "absent"), [("os", "architecture"), ("architecture", "os")])
def test_platform__is_half_there__is_refused(present: str, absent: str) -> None:
    document_ = {"manifests": [{**LAYER, "platform": {present: "linux"}}]}
    with pytest.raises(document.Malformed, match=rf"^manifest\.manifests\[0\]\.platform\.{absent} must be a string"):
        manifest.parse(json.dumps(document_).encode())


def test_manifest__is_both_or_too_long__is_refused() -> None:
    with pytest.raises(document.Malformed, match="must be one image or an index"):
        manifest.parse(json.dumps({**IMAGE, **INDEX}).encode())
    with pytest.raises(document.Malformed, match=r"manifest\.manifests has 1001 entries, more than 1000"):
        manifest.parse(json.dumps({"manifests": [LAYER] * 1001}).encode())


@pytest.mark.parametrize("media_type", ["", mediatypes.MANIFEST, mediatypes.INDEX, mediatypes.DOCKER_INDEX, "x/y"])
def test_manifest__says_what_it_is__is_that_whatever_the_carrier_says(media_type: str) -> None:
    assert isinstance(manifest.parse(json.dumps(IMAGE).encode(), media_type), manifest.Manifest)
    assert isinstance(manifest.parse(json.dumps(INDEX).encode(), media_type), manifest.Index)


def test_media_types__are_each_of_one_kind() -> None:
    kinds = (mediatypes.INDEXES, mediatypes.MANIFESTS, mediatypes.LAYERS, {mediatypes.CONFIG, mediatypes.DOCKER_CONFIG})
    assert sum(len(kind) for kind in kinds) == len(frozenset().union(*kinds)) == 26
    assert set(mediatypes.ACCEPTED) == mediatypes.INDEXES | mediatypes.MANIFESTS
