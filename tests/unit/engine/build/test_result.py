"""The configuration and the manifest of a built image."""

import json

from agent.dockerfile import configuration, evaluate
from agent.dockerfile.configuration import HistoryEntry
from agent.engine.build import result, spec
from agent.oci import descriptor, digest, manifest, mediatypes, platform

AMD64 = platform.Platform("linux", "amd64")
FRAME = evaluate.begin(configuration.Configuration(labels=(("a", "1"),), author="somebody"))
MOMENTS = (
    result.Moment(HistoryEntry("ENV A=1"), None),
    result.Moment(HistoryEntry("RUN x", has_layer=True), 1_000_000_000.9),
    result.Moment(HistoryEntry("CMD x"), None),
)


def built(base: result.Base, labels: tuple[tuple[str, str], ...] = (), epoch: int | None = None) -> dict[str, object]:
    document: dict[str, object] = json.loads(result.configuration(base, FRAME, MOMENTS, ["sha256:x"], labels, epoch))
    return document


def test_configuration__without_a_base__begins_with_its_own_layers() -> None:
    document = built(result.Base({}, AMD64))
    assert (document["os"], document["architecture"], document["author"]) == ("linux", "amd64", "somebody")
    assert document["rootfs"] == {"type": "layers", "diff_ids": ["sha256:x"]}
    assert document["created"] == "2001-09-09T01:46:40Z"
    comment = "buildkit.dockerfile.v0"
    assert document["history"] == [
        {"created_by": "ENV A=1", "comment": comment, "empty_layer": True},
        {"created": "2001-09-09T01:46:40Z", "created_by": "RUN x", "comment": comment},
        {"created": "2001-09-09T01:46:40Z", "created_by": "CMD x", "comment": comment, "empty_layer": True},
    ]


def test_configuration__upon_a_base__continues_its_history() -> None:
    old = {"created": "2000-01-01T00:00:00Z", "created_by": "of the base"}
    document = built(result.Base({"history": [old], "created": "2000-01-01T00:00:00Z", "os.version": "1"}, AMD64))
    history = document["history"]
    assert isinstance(history, list)
    assert (history[0], history[1]["created"], document["os.version"]) == (old, "2000-01-01T00:00:00Z", "1")


def test_configuration__labels_given__win() -> None:
    config = built(result.Base({}, AMD64), (("a", "2"), ("b", "3")))["config"]
    assert isinstance(config, dict)
    assert config["Labels"] == {"a": "2", "b": "3"}


def test_configuration__moment_given__nothing_is_newer() -> None:
    document = built(result.Base({}, AMD64), epoch=86_400)
    assert document["created"] == "1970-01-02T00:00:00Z"


def test_configuration__hostile_base__is_no_failure() -> None:
    document = built(result.Base({"history": "none", "created": 7, "config": []}, AMD64))
    assert document["created"] == "2001-09-09T01:46:40Z"


def test_manifest__layers__are_described_and_can_be_read_again() -> None:
    blob = descriptor.Descriptor(mediatypes.LAYER_GZIP, digest.of(b"layer"), 5)
    parsed = manifest.parse(result.manifest(b"{}", [spec.Layer("sha256:x", blob)]))
    assert isinstance(parsed, manifest.Manifest)
    assert (parsed.config.digest, parsed.layers) == (digest.of(b"{}"), (blob,))
