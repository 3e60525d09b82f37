"""An observation as a document (``observe --json``), back from one (``plan --observed``), and as a table."""

import json
import pathlib

from agent import app, errors
from agent.cli import terminal
from agent.kit import canonical
from agent.model import key

_VERSION = 1


def document(sight: app.Sight) -> dict[str, object]:
    """Give the JSON: everything that a plan depends on, values of environment variables included."""
    return {"version": _VERSION, **canonical.plain(sight)}


def load(path: pathlib.Path) -> app.Sight:
    """Read a document back. Raises ``TrimtabError`` for a file that is none."""
    try:
        return _restored(json.loads(path.read_bytes()))
    except OSError as error:
        raise errors.TrimtabError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, RecursionError) as error:
        said = str(error).removeprefix("Sight.").removeprefix("Sight: ")
        raise errors.TrimtabError(
            f"{path} is not an observation: {said}", hint="trimtab observe --json > FILE makes one"
        ) from error


def _restored(found: object) -> app.Sight:
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        raise ValueError(f"its version is not {_VERSION}")
    return canonical.restore(app.Sight, {name: value for name, value in found.items() if name != "version"})


def rows(sight: app.Sight, now: float) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Give headings and rows of a table."""
    seen = sight.observed
    found: list[tuple[str, ...]] = []
    for one in seen.containers:
        since = one.started_at or one.created_at
        found.append(("Container", one.name, _whose(one.labels, sight), one.state.value, terminal.age(now - since)))
    found += [
        (
            "Image",
            image.reference,
            _whose(image.labels, sight),
            f"{image.size / 2**20:.1f} MiB" + ("" if image.verified else ", not verified"),
            "",
        )
        for image in seen.images
    ]
    for net in seen.networks:
        state = ", ".join(subnet.subnet for subnet in net.config.subnets) + ("" if net.healthy else ", broken")
        found.append(("Network", net.name, _whose(net.labels, sight), state, ""))
    for volume in seen.volumes:
        age = terminal.age(now - volume.created_at)
        found.append(("Volume", volume.name, _whose(volume.labels, sight), volume.mountpoint, age))
    return ("KIND", "NAME", "OWNER", "STATE", "AGE"), found


def _whose(labels: key.Pairs, sight: app.Sight) -> str:
    ownership = key.ownership_of(labels)
    if ownership is None:
        return "foreign"
    return "ours" if ownership.owner == sight.owner else ownership.owner
