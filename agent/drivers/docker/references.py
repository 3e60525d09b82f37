"""Translation between an engine's image names and canonical references. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.model import image
from agent.model.key import Pairs
from agent.oci import reference


def observed_images(inspected: Mapping[str, Any], labels: Mapping[str, Pairs]) -> Iterable[image.ObservedImage]:
    """Yield an image once for each of its references; ``labels`` are the noted ones by reference.

    Engines list every image by digest as well. That counts if it was requested by digest, or has no other name.
    """
    tags = [text for text in inspected.get("RepoTags") or () if "<none>" not in text]
    names = [name for name in map(canonical, tags) if name]
    for text in inspected.get("RepoDigests") or ():
        name = canonical(text)
        noted = [label for label in labels if name and without_tag(label) == name]
        names += noted or ([name] if name and not tags else [])
    for name in dict.fromkeys(names):
        yield image.ObservedImage(
            str(inspected["Id"]), name, labels.get(name, ()), int(inspected.get("Size") or 0), digests(inspected, name)
        )


def digests(inspected: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the digests of an image in a reference's repository, sorted."""
    parsed = reference.parse(name)
    references = [reference.parse(text) for text in map(canonical, inspected.get("RepoDigests") or ()) if text]
    repository = (parsed.registry, parsed.repository)
    return tuple(
        sorted(
            {
                candidate.digest
                for candidate in references
                if candidate.digest and (candidate.registry, candidate.repository) == repository
            }
        )
    )


def canonical(text: str) -> str:
    """Return the canonical form; empty for a name that is not valid as a reference."""
    try:
        return str(reference.parse(text))
    except reference.InvalidReference:
        return ""


def is_same(text: str, name: str) -> bool:
    """Return whether an engine's spelling of a reference means a canonical one."""
    return canonical(text) == name


def name_of(text: str, inspected: Mapping[str, Any]) -> str:
    """Return a reference that means exactly this image now: its declared one, or a digest if the tag has moved on.

    ``inspected`` is the image. Empty if it has no name any more.
    """
    return next(filter(None, (*_exactly(text, inspected), *map(canonical, _names(inspected)))), "")


def _exactly(text: str, inspected: Mapping[str, Any]) -> Iterator[str]:
    expected = canonical(text)
    if expected:
        yield from (expected for text in _names(inspected) if canonical(text) == without_tag(expected))
        yield from (expected for text in _names(inspected) if canonical(text) == expected)


def _names(inspected: Mapping[str, Any]) -> Iterator[str]:
    """Yield an image's digests, which never move, before its tags."""
    yield from inspected.get("RepoDigests") or ()
    yield from (text for text in inspected.get("RepoTags") or () if "<none>" not in text)


def without_tag(name: str) -> str:
    """Return a reference without its tag if it has a digest: engines do not keep the tag then."""
    parsed = reference.parse(name)
    if not parsed.digest:
        return name
    return str(reference.Reference(parsed.registry, parsed.repository, None, parsed.digest))
