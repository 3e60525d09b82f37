"""An observation as a document (``observe --json``), back from one (``plan --observed``), and as a table."""

import json
import pathlib

from agent import app, errors
from agent.cli import terminal
from agent.kit import canonical
from agent.model import key

_VERSION = 1


def document(sight: app.Sight) -> dict[str, object]:
    """Return the JSON: everything that a plan depends on, values of environment variables included."""
    return {"version": _VERSION, **canonical.plain(sight)}


def load(path: pathlib.Path) -> app.Sight:
    """Return the observation in a file. Raises ``TrimtabError`` for one that is not an observation."""
    try:
        return _restored(json.loads(path.read_bytes()))
    except OSError as error:
        raise errors.TrimtabError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, RecursionError) as error:
        reason = str(error).removeprefix("Sight.").removeprefix("Sight: ")
        raise errors.TrimtabError(
            f"{path} is not an observation: {reason}", hint="trimtab observe --json > FILE makes one"
        ) from error


def _restored(document: object) -> app.Sight:
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise ValueError(f"its version is not {_VERSION}")
    return canonical.restore(app.Sight, {name: value for name, value in document.items() if name != "version"})


def rows(sight: app.Sight, now: float) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows of a table."""
    observed = sight.observed
    table: list[tuple[str, ...]] = []
    for container in observed.containers:
        age = terminal.age(now - (container.started_at or container.created_at))
        table.append(("Container", container.name, _owner(container.labels, sight), container.state.value, age))
    table += [
        (
            "Image",
            image.reference,
            _owner(image.labels, sight),
            f"{image.size / 2**20:.1f} MiB"
            + ("" if image.verified else ", not verified")
            + ("" if image.available else ", damaged"),
            "",
        )
        for image in observed.images
    ]
    for net in observed.networks:
        state = ", ".join(subnet.subnet for subnet in net.config.subnets) + ("" if net.healthy else ", broken")
        table.append(("Network", net.name, _owner(net.labels, sight), state, ""))
    for volume in observed.volumes:
        age = terminal.age(now - volume.created_at)
        table.append(("Volume", volume.name, _owner(volume.labels, sight), volume.mountpoint, age))
    return ("KIND", "NAME", "OWNER", "STATE", "AGE"), table


def _owner(labels: key.Pairs, sight: app.Sight) -> str:
    ownership = key.ownership_of(labels)
    if ownership is None:
        return "foreign"
    return "ours" if ownership.owner == sight.owner else ownership.owner
