"""From documents to models: which model a document is, and whether it is a sound one."""

import dataclasses

import pydantic

from agent.manifests import decode, problem, wording
from agent.manifests.v1 import container, image, network, secret, volume
from agent.model.key import PREFIX, Kind, ObjectKey

API_VERSION = "trimtab.dev/v1"
Object = container.Container | image.Image | network.Network | secret.Secret | volume.Volume

MODELS: dict[str, type[Object]] = {
    "Container": container.Container,
    "Image": image.Image,
    "Network": network.Network,
    "Secret": secret.Secret,
    "Volume": volume.Volume,
}
LATER = ("Config", "Stack", "Release", "Source", "Service")


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """A document that is a sound object by itself."""

    key: ObjectKey
    object: Object
    document: decode.Document
    directory: str
    """Where its relative paths start: absolute."""


def parse(document: decode.Document, directory: str) -> tuple[Manifest | None, list[problem.Problem]]:
    """Read one document."""
    if not isinstance(document.value, dict):
        return None, [document.problem("a manifest must be a mapping", "begin with apiVersion: trimtab.dev/v1")]
    model, found = _model(document, document.value)
    if model is None:
        return None, found
    try:
        parsed = model.model_validate(document.value)
    except pydantic.ValidationError as error:
        return None, wording.problems_of(document, model, error.errors())
    owned = _owned(document, parsed)
    if owned:
        return None, owned
    return Manifest(ObjectKey(Kind(parsed.kind), parsed.metadata.name), parsed, document, directory), []


def _model(
    document: decode.Document, value: dict[str, decode.Value]
) -> tuple[type[Object] | None, list[problem.Problem]]:
    version, kind = value.get("apiVersion"), value.get("kind")
    if version is None and "services" in value:
        message = "this is a Compose file: they are not built yet"
        return None, [document.problem(message, "write Container manifests, see trimtab explain container")]
    if version != API_VERSION:
        said = "is missing" if version is None else f"must be {API_VERSION}"
        return None, [document.problem(f"apiVersion {said}", f"begin with apiVersion: {API_VERSION}", "apiVersion")]
    if kind in LATER:
        return None, [document.problem(f"kind {kind} is not built yet", f"known are {', '.join(MODELS)}", "kind")]
    if not isinstance(kind, str) or kind not in MODELS:
        said = "is missing" if kind is None else f"{str(kind)[:50]!r} is unknown"
        return None, [document.problem(f"kind {said}", wording.close(str(kind), MODELS), "kind")]
    return MODELS[kind], []


def _owned(document: decode.Document, parsed: Object) -> list[problem.Problem]:
    """Refuse labels and annotations of ours: none of them is built for people to set."""
    found = []
    for field in ("labels", "annotations"):
        for name in getattr(parsed.metadata, field) or ():
            if name.startswith(PREFIX):
                place = document.key_place("metadata", field, name)
                what = (
                    "is not built yet" if name == f"{PREFIX}hosts" else "is not known: that prefix is the agent's own"
                )
                found.append(problem.Problem(document.path, *place, f"metadata.{field} {name} {what}", "leave it out"))
    return found
