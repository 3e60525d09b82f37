"""Whatever a registry or a person writes is read, or refused in the one way that says so."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent import errors
from agent.distribution.registry import client, credentials, retries, tokens
from agent.oci import descriptor, digest, document, image_config, manifest, mediatypes, platform, reference

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_HOSTS = st.one_of(
    st.builds("{}.{}".format, _LABEL, _LABEL),
    st.builds("{}:{}".format, _LABEL, st.integers(0, 65535)),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]:5000".format),
    st.sampled_from(["localhost", "docker.io", "localhost:5000"]),
)
_PATHS = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+)*", fullmatch=True).filter(lambda t: len(t) < 200)
_TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_DIGESTS = st.one_of(
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True), st.from_regex(r"sha512:[0-9a-f]{128}", fullmatch=True)
)
_REFERENCES = st.builds(reference.Reference, _HOSTS, _PATHS, st.none() | _TAGS, st.none() | _DIGESTS)


def _complete(name: reference.Reference) -> bool:
    """Return whether a reference is spelt out, so that nothing is added to it."""
    short = name.registry == "docker.io" and "/" not in name.repository
    return bool(name.tag or name.digest) and not short


@given(_REFERENCES.filter(_complete))
def test_reference__written_and_read__is_the_same(name: reference.Reference) -> None:
    assert reference.parse(str(name)) == name


@given(st.one_of(st.text(max_size=300), st.text("ab.:/@_-[]0AéŁ\n", max_size=40), _REFERENCES.map(str)))
@example("a/" * 200)
@example("[::1]/a")
@example("a@sha256:" + "0" * 64)
def test_reference__any_text__is_read_for_good_or_refused(text: str) -> None:
    try:
        read = reference.parse(text)
    except reference.InvalidReference:
        return
    assert reference.parse(str(read)) == read
    assert read.tag or read.digest


_KEYS = st.sampled_from(
    [
        *("schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "annotations", "platform"),
        *("os", "architecture", "variant", "rootfs", "diff_ids", "type", "Env", "Cmd", "Entrypoint", "Labels", "User"),
        *("Volumes", "WorkingDir", "StopSignal", "tags", "token", "access_token"),
    ]
)
_GOOD = st.sampled_from(
    [digest.of(b""), mediatypes.MANIFEST, mediatypes.INDEX, mediatypes.LAYER_GZIP, "linux", "", "\0"]
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), _GOOD)
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6), max_leaves=20
)
_BLOB = st.fixed_dictionaries(
    {"mediaType": st.just(mediatypes.LAYER), "digest": _DIGESTS, "size": st.integers(0, 100)},
    optional={"platform": _JSON, "annotations": _JSON},
)
_NEARLY = st.fixed_dictionaries(
    {}, optional={"schemaVersion": _JSON, "config": _BLOB | _JSON, "layers": st.lists(_BLOB | _JSON, max_size=3)}
)
_CONFIGS = st.fixed_dictionaries(
    {"rootfs": st.fixed_dictionaries({"diff_ids": st.lists(_DIGESTS | _JSON, max_size=3)})},
    optional={"config": _JSON, "os": _JSON, "architecture": _JSON},
)


def _encoded(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


_DOCUMENTS = st.one_of(st.binary(max_size=50), st.one_of(_JSON, _NEARLY, _CONFIGS).map(_encoded))
_TRUNCATED = st.builds(lambda data, cut: data[: len(data) - cut], _DOCUMENTS, st.integers(1, 5))


@given(st.one_of(_DOCUMENTS, _TRUNCATED), st.sampled_from(["", *mediatypes.ACCEPTED, "text/html"]))
@example(b"[" * 100_000, "")
@example(b'{"config":' * 50_000, "")
@example(b'{"size":' + b"9" * 5000 + b"}", "")
@example(b'{"layers": [], "manifests": []}', "")
@example(b"\xef\xbb\xbf{}", "")
def test_manifest__whatever_it_is__is_read_or_malformed(data: bytes, media_type: str) -> None:
    try:
        read = manifest.parse(data, media_type)
    except document.Malformed:
        return
    for described in read.layers if isinstance(read, manifest.Manifest) else read.manifests:
        assert isinstance(described, descriptor.Descriptor)
        assert digest.parse(described.digest)
        assert 0 <= described.size <= 1 << 50
        assert json.loads(json.dumps(described.document()))["digest"] == described.digest


@given(st.lists(_BLOB, max_size=4), _BLOB)
def test_manifest__that_is_sound__is_read_with_every_part(layers: list[dict[str, Any]], config: dict[str, Any]) -> None:
    descriptors = [
        {key: value for key, value in layer.items() if key in {"mediaType", "digest", "size"}} for layer in layers
    ]
    read = manifest.parse(
        json.dumps({"config": {**config, "platform": {}, "annotations": {}}, "layers": descriptors}).encode()
    )
    assert isinstance(read, manifest.Manifest)
    assert [layer.document() for layer in read.layers] == descriptors


@given(st.one_of(_DOCUMENTS, _TRUNCATED))
@example(b"[" * 100_000)
def test_image_config__whatever_it_is__is_read_or_malformed(data: bytes) -> None:
    try:
        read = image_config.parse(data)
    except document.Malformed:
        return
    assert len(image_config.chain_ids(read.diff_ids)) == len(read.diff_ids)
    for text in (*read.env, *read.cmd, *read.entrypoint, read.user, read.working_dir, str(read.platform)):
        assert "\0" not in text
        assert text.encode().decode() == text


@given(st.one_of(_DOCUMENTS, _TRUNCATED))
@example(b"[" * 100_000)
def test_tags_and_tokens__whatever_they_are__are_read_or_refused(data: bytes) -> None:
    token = tokens._parse_token(data)
    assert token is None or (token.isascii() and token.isprintable() and " " not in token)
    try:
        tags = client._tags(data, reference.parse("registry.example/app"))
    except errors.InvalidArgument:
        return
    assert all(isinstance(tag, str) for tag in tags)


_DATES = st.builds(
    "{} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Sun, 01", "1", "", "99", "Mon,", "Sunday, 01-Mar-26"]),
    st.sampled_from(["Mar", "13", "", "March"]),
    st.one_of(st.integers(), st.just("")),
    st.integers(),
    st.integers(-1, 99),
    st.integers(-1, 99),
    st.one_of(
        st.sampled_from(["GMT", "", "+0000", "EST", "-"]), st.integers().map(str), st.integers().map("+{}".format)
    ),
)


@given(st.one_of(st.text(max_size=40), _DATES, st.integers().map(str), st.from_regex(r"\d{1,40}")))
@example("Sun, 01 Mar 2026 12:00:30 +99999999999999999999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_retry_after__whatever_it_says__is_a_time_or_nothing(text: str) -> None:
    seconds = retries.parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds < 1e15


_PARAMETERS = st.builds(
    '{}{}"{}"'.format,
    st.sampled_from(["realm", "REALM", "service", "scope", "error", "x y", ""]),
    st.sampled_from(["=", " = ", "==", ""]),
    st.text(max_size=20),
)


@given(st.sampled_from(["Bearer", "bearer", "Basic", "Negotiate", "", "Bearer,"]), st.lists(_PARAMETERS, max_size=5))
@example("Bearer", ['realm="\\"', 'realm=""'])
def test_challenge__whatever_it_says__is_read_or_none(scheme: str, parameters: list[str]) -> None:
    header = f"{scheme} {','.join(parameters)}"
    read = credentials.challenge(header)
    if read is None:
        return
    assert read.scheme in {"bearer", "basic"}
    assert '"' not in f"{read.realm}{read.service}{read.scope}" or "\\" in header  # a quote may be escaped


@given(st.text(max_size=30))
def test_platform__any_text__is_read_for_good_or_refused(text: str) -> None:
    try:
        read = platform.parse(text)
    except ValueError:
        return
    assert platform.parse(str(read)) == read


@pytest.mark.parametrize("size", [5_000_000])
def test_documents__larger_than_registries_take__are_refused(size: int) -> None:
    with pytest.raises(document.Malformed, match="larger than"):
        manifest.parse(b" " * size)
