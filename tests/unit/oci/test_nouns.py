"""The OCI specifications' nouns, and what is refused of them."""

import json

import pytest

from agent.oci import descriptor, digest, document, image_config, manifest, mediatypes, platform, reference

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("a/b", "docker.io/a/b:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("127.0.0.1:5000/a/b:x", "127.0.0.1:5000/a/b:x"),
        (f"a@{SHA}", f"docker.io/library/a@{SHA}"),
        (f"a:1@{SHA}", f"docker.io/library/a:1@{SHA}"),
    ],
)
def test_reference__is_completed_as_docker_does(text: str, meant: str) -> None:
    assert str(reference.parse(text)) == meant
    assert reference.parse(meant) == reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "a:",
        "a:b c",
        "a//b",
        "-a",
        "a@",
        "a@sha256:1",
        "http://a/b",
        "a:" + "x" * 129,
        "x" * 256,
        "a..b",
        "a.io:x/b",
    ],
)
def test_reference__that_names_nothing__is_refused(text: str) -> None:
    with pytest.raises(reference.InvalidReference):
        reference.parse(text)


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:xyz", "md5:" + "a" * 32, SHA + "a", SHA.upper(), "../" + SHA])
def test_digest__that_is_none__is_refused(text: str) -> None:
    with pytest.raises(digest.InvalidDigest):
        digest.parse(text)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "quay.io/nginx:latest"),
        ("a/b:1", "quay.io/a/b:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/a", "localhost/a:latest"),
    ],
)
def test_reference__other_default_registry__is_of_those_that_name_none(text: str, full: str) -> None:
    assert str(reference.parse(text, "quay.io")) == full


def test_digest__of_bytes() -> None:
    assert digest.of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest.parse("sha512:" + "b" * 128) == ("sha512", "b" * 128)


def test_platform__is_read_and_told() -> None:
    assert str(platform.parse("linux/arm/v7")) == "linux/arm/v7"
    assert platform.of_machine("x86_64") == platform.Platform("linux", "amd64")
    assert platform.of_machine("sparc").architecture == "sparc"
    with pytest.raises(ValueError, match="is no platform"):
        platform.parse("linux")


@pytest.mark.parametrize(
    ("machine", "offered", "chosen"),
    [
        ("x86_64", ["linux/arm64", "linux/amd64"], 1),
        ("x86_64", ["linux/arm64"], None),
        ("aarch64", ["linux/arm64/v8", "linux/arm64"], 1),
        ("aarch64", ["linux/arm64/v8"], 0),
        ("armv7l", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("armv7l", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("x86_64", [""], 0),
        ("x86_64", ["", ""], None),
    ],
)
def test_platform__the_best_one_is_chosen(machine: str, offered: list[str], chosen: int | None) -> None:
    platforms = [platform.parse(text) if text else None for text in offered]
    assert platform.choose(platform.of_machine(machine), platforms) == chosen


def described(**fields: object) -> dict[str, object]:
    """Return a descriptor as JSON has it."""
    return {"mediaType": mediatypes.LAYER_GZIP, "digest": SHA, "size": 3, **fields}


def test_descriptor__is_read_and_told() -> None:
    fields = described(annotations={"a": "b"})
    read = descriptor.read(
        document.node("d", {**fields, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}})
    )
    assert read.platform == platform.Platform("linux", "arm", "v7")
    assert read.document() == fields
    assert descriptor.read(document.node("d", described())).document() == described()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"digest": "x"}, "d.digest: 'x' is no digest"),
        ({"size": -1}, "d.size must be a whole number, 0 or more"),
        ({"size": True}, "d.size must be a whole number"),
        ({"mediaType": 1}, "d.mediaType must be a string"),
        ({"annotations": {"a": 1}}, "d.annotations must map strings to strings"),
        ({"platform": []}, ""),
        ({"platform": [1]}, "d.platform must be an object"),
    ],
)
def test_descriptor__malformed__says_where(fields: dict[str, object], message: str) -> None:
    node = document.node("d", described(**fields))
    if not message:
        assert descriptor.read(node).platform is None
        return
    with pytest.raises(document.Malformed) as caught:
        descriptor.read(node)
    assert str(caught.value).startswith(message)


def encoded(value: object) -> bytes:
    """Return the value as JSON."""
    return json.dumps(value).encode()


def test_manifest_and_index__are_told_apart() -> None:
    image = manifest.parse(encoded({"config": described(), "layers": [described(), described()]}))
    assert isinstance(image, manifest.Manifest)
    assert len(image.layers) == 2
    index = manifest.parse(encoded({"manifests": [described()]}))
    assert isinstance(index, manifest.Index)
    empty = manifest.parse(encoded({"mediaType": mediatypes.DOCKER_INDEX}))
    assert empty == manifest.Index(())
    assert manifest.parse(encoded({}), mediatypes.INDEX) == manifest.Index(())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "manifest is not a JSON object"),
        (b"[]", "manifest is not a JSON object: manifest must be an object"),
        (b"[" * 100_000, "manifest is not a JSON object"),
        (b" " * (5 << 20), "manifest is larger than"),
        (encoded({"layers": [], "manifests": []}), "manifest has layers and manifests"),
        (encoded({"fsLayers": []}), "manifest has no config"),
        (encoded({"config": described(), "layers": {}}), "manifest.layers must be a list"),
        (encoded({"config": described(), "layers": [1]}), "manifest.layers[0] must be an object"),
        (encoded({"config": described(), "layers": [described()] * 501}), "manifest.layers has 501 entries"),
    ],
)
def test_manifest__malformed__says_what(data: bytes, message: str) -> None:
    with pytest.raises(document.Malformed) as caught:
        manifest.parse(data)
    assert str(caught.value).startswith(message)


def test_image_config__is_read_with_what_is_missing_empty() -> None:
    read = image_config.parse(
        encoded(
            {
                "architecture": "amd64",
                "config": {
                    "Entrypoint": ["/a"],
                    "Cmd": None,
                    "Env": ["A=1"],
                    "User": "u",
                    "WorkingDir": "/w",
                    "StopSignal": "SIGINT",
                    "Labels": {"b": "2", "a": "1"},
                    "Volumes": {"/v": {}},
                },
                "rootfs": {"type": "layers", "diff_ids": [SHA]},
            }
        )
    )
    assert (read.entrypoint, read.cmd, read.env, read.user) == (("/a",), (), ("A=1",), "u")
    assert (read.working_dir, read.stop_signal, read.volumes) == ("/w", "SIGINT", ("/v",))
    assert read.labels == (("a", "1"), ("b", "2"))
    assert read.diff_ids == (SHA,)
    assert image_config.parse(b"{}").diff_ids == ()


@pytest.mark.parametrize(
    "document_", [{"rootfs": {"diff_ids": ["x"]}}, {"config": {"Cmd": [1]}}, {"config": {"Env": "A"}}]
)
def test_image_config__malformed__is_refused(document_: dict[str, object]) -> None:
    with pytest.raises(document.Malformed):
        image_config.parse(encoded(document_))


def test_chain_ids__name_layers_by_what_is_below() -> None:
    first_digest, two = digest.of(b"1"), digest.of(b"2")
    assert image_config.chain_ids((first_digest, two)) == (first_digest, digest.of(f"{first_digest} {two}".encode()))
    assert image_config.chain_ids(()) == ()
