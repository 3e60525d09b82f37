"""What a build makes of its last stage: the image's configuration and manifest, as BuildKit writes them. Pure."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.dockerfile import evaluate, instructions, parse
from agent.dockerfile.configuration import HistoryEntry
from agent.engine.build import spec
from agent.kit import frozen
from agent.oci import descriptor, digest, mediatypes, platform

_COMMENT = "buildkit.dockerfile.v0"
_BASE_FIELDS = ("architecture", "os", "os.version", "os.features", "variant")


@frozen.value
class Base:
    """What a stage begins with."""

    document: Mapping[str, Any]
    """The configuration of an image; empty: there is none."""
    platform: platform.Platform

    @property
    def history(self) -> Sequence[Any]:
        """Return the entries of the image's history."""
        entries = self.document.get("history")
        return entries if isinstance(entries, list) else []


@frozen.value
class Moment:
    """An instruction's entry of history, and when what it made was made."""

    entry: HistoryEntry
    created: float | None
    """Seconds since the epoch; ``None``: it made no layer."""


def configuration(
    base: Base,
    frame: evaluate.Frame,
    moments: Sequence[Moment],
    diff_ids: Sequence[str],
    labels: Sequence[instructions.Pair],
    epoch: int | None,
) -> bytes:
    """Return the configuration. ``labels`` come on top; nothing is newer than ``epoch``.

    Two builds that made the same layers at the same times give the same bytes.
    """
    history: list[object] = list(base.history)
    latest = _latest(base)
    for moment in moments:
        if moment.created is not None:
            latest = _shown(moment.created if epoch is None else min(moment.created, epoch))
        shown: dict[str, object] = {"created": latest} if latest else {}
        shown |= {"created_by": moment.entry.created_by, "comment": _COMMENT}
        history.append(shown if moment.entry.has_layer else shown | {"empty_layer": True})
    own = frame.configuration
    run = own.document()
    all_labels = {**dict(own.labels), **dict(labels)}
    document: dict[str, object] = {
        **{name: base.document[name] for name in _BASE_FIELDS if name in base.document},
        **({"author": own.author} if own.author else {}),
        **({"created": latest} if latest else {}),
        "architecture": base.platform.architecture,
        "os": base.platform.os,
        **({"variant": base.platform.variant} if base.platform.variant else {}),
        "config": {**run, **({"Labels": all_labels} if all_labels else {})},
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return parse.readable(text).encode()


def manifest(config: bytes, layers: Sequence[spec.Layer]) -> bytes:
    """Return the image's manifest."""
    own = descriptor.Descriptor(mediatypes.CONFIG, digest.of(config), len(config))
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.MANIFEST,
        "config": own.document(),
        "layers": [layer.blob.document() for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _latest(base: Base) -> str:
    """Return when a base image was made, as it says."""
    times = [base.document.get("created"), *(entry.get("created") for entry in base.history if isinstance(entry, dict))]
    return max((time for time in times if isinstance(time, str)), default="")


def _shown(seconds: float) -> str:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
