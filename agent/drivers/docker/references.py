"""Images by their references: an engine's, and ours. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.model import image
from agent.model.key import Pairs
from agent.oci import reference


def observed_images(found: Mapping[str, Any], labels: Mapping[str, Pairs]) -> Iterable[image.ObservedImage]:
    """Say an image once for each of its references; ``labels`` are those that are noted.

    Engines know every image by digest as well. That counts where it was asked for by digest, or has no other name.
    """
    tags = [text for text in found.get("RepoTags") or () if "<none>" not in text]
    names = [name for name in map(canonical, tags) if name]
    for text in found.get("RepoDigests") or ():
        name = canonical(text)
        noted = [one for one in labels if name and without_tag(one) == name]
        names += noted or ([name] if name and not tags else [])
    for name in dict.fromkeys(names):
        yield image.ObservedImage(
            str(found["Id"]), name, labels.get(name, ()), int(found.get("Size") or 0), digests(found, name)
        )


def digests(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Give the digests by which an engine knows an image in a reference's repository."""
    wanted = reference.parse(name)
    known = [reference.parse(text) for text in map(canonical, found.get("RepoDigests") or ()) if text]
    place = (wanted.registry, wanted.repository)
    return tuple(sorted({one.digest for one in known if one.digest and (one.registry, one.repository) == place}))


def canonical(text: str) -> str:
    """Give the canonical form; empty for somebody else's image by a name that no manifest can say."""
    try:
        return str(reference.parse(text))
    except reference.InvalidReference:
        return ""


def same(written: str, name: str) -> bool:
    """Tell whether an engine's way to write a reference means ours."""
    return canonical(written) == name


def name_of(written: str, found: Mapping[str, Any]) -> str:
    """Give a reference that means exactly this image now: as it was written, or its digest where a tag has moved on.

    ``found`` is the image, inspected. Empty where it has no name any more.
    """
    return next(filter(None, (*_exactly(written, found), *map(canonical, _names(found)))), "")


def _exactly(written: str, found: Mapping[str, Any]) -> Iterator[str]:
    wanted = canonical(written)
    if wanted:
        yield from (wanted for text in _names(found) if canonical(text) == without_tag(wanted))
        yield from (wanted for text in _names(found) if canonical(text) == wanted)


def _names(found: Mapping[str, Any]) -> Iterator[str]:
    """Give its digests, which never move, before its tags."""
    yield from found.get("RepoDigests") or ()
    yield from (text for text in found.get("RepoTags") or () if "<none>" not in text)


def without_tag(name: str) -> str:
    """Drop the tag where a digest says which image it is; engines do not keep it then."""
    parsed = reference.parse(name)
    if not parsed.digest:
        return name
    return str(reference.Reference(parsed.registry, parsed.repository, None, parsed.digest))
