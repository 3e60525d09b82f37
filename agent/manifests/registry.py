"""From documents to models: find the model of a document's kind and validate it."""

import pydantic

from agent.kit import frozen
from agent.manifests import decode, foreign_spellings, problem, wording
from agent.manifests.v1 import container, image, network, secret, volume
from agent.model import external_input
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


@frozen.value
class Manifest:
    """A document with its validated object."""

    key: ObjectKey
    object: Object
    document: decode.Document
    directory: str
    """Absolute directory that relative paths start at."""
    folder: external_input.SourceFolder
    """What the source's own files lie below."""


@frozen.value
class Location:
    """Where a manifest file lies on the host."""

    directory: str
    """Absolute directory that relative paths in it start at."""
    folder: external_input.SourceFolder
    """What the source's own files lie below."""


def parse(document: decode.Document, location: Location, findings: problem.Findings) -> Manifest | None:
    """Return a document's manifest; ``None`` where it has problems, which are added to ``findings``."""
    if not isinstance(document.value, dict):
        findings.add([document.problem("a manifest must be a mapping", "begin with apiVersion: trimtab.dev/v1")])
        return None
    model, problems = _model(document, document.value)
    findings.add(problems)
    if model is None:
        return None
    try:
        parsed = model.model_validate(document.value)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False)
        findings.add(wording.problems_of(document, model, errors[: problem.MOST]))
        findings.count(len(errors) - problem.MOST)
        return None
    if owned := _owned(document, parsed):
        findings.add(owned)
        return None
    return Manifest(
        ObjectKey(Kind(parsed.kind), parsed.metadata.name), parsed, document, location.directory, location.folder
    )


def _model(
    document: decode.Document, value: dict[str, decode.Value]
) -> tuple[type[Object] | None, list[problem.Problem]]:
    version, kind = value.get("apiVersion"), value.get("kind")
    if version is None and "services" in value:
        message = "this is a Compose file: they are not built yet"
        return None, [document.problem(message, "write Container manifests, see trimtab explain container")]
    if version != API_VERSION:
        complaint = "is missing" if version is None else f"must be {API_VERSION}"
        hint = (
            version is not None and foreign_spellings.KINDS.get(str(kind))
        ) or f"begin with apiVersion: {API_VERSION}"
        return None, [document.problem(f"apiVersion {complaint}", hint, "apiVersion")]
    if kind in LATER:
        return None, [document.problem(f"kind {kind} is not built yet", f"known are {', '.join(MODELS)}", "kind")]
    if not isinstance(kind, str) or kind not in MODELS:
        complaint = "is missing" if kind is None else f"{str(kind)[:50]!r} is unknown"
        return None, [document.problem(f"kind {complaint}", wording.suggestion(str(kind), MODELS), "kind")]
    return MODELS[kind], []


def _owned(document: decode.Document, parsed: Object) -> list[problem.Problem]:
    """Return problems for labels and annotations of ``trimtab.dev/``, which only the agent sets."""
    problems = []
    for field in ("labels", "annotations"):
        for name in getattr(parsed.metadata, field) or ():
            if name.startswith(PREFIX):
                position = document.key_position("metadata", field, name)
                what = (
                    "is not built yet" if name == f"{PREFIX}hosts" else "is not known: that prefix is the agent's own"
                )
                problems.append(
                    problem.Problem(document.path, *position, f"metadata.{field} {name} {what}", "leave it out")
                )
    return problems
