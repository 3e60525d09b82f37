"""From files to the desired state, in two steps with one look at the host between them: which archives are what."""

import dataclasses
from collections.abc import Mapping, Sequence

from agent.manifests import able, admit, decode, problem, registry
from agent.manifests import lower as lowering
from agent.model import abilities, state
from agent.oci import reference


@dataclasses.dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file as the source read it."""

    path: str
    """As people know it."""
    directory: str
    """Where relative paths in it start: absolute."""
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What manifests are read under."""

    lacking: abilities.Lacking = abilities.EVERYTHING
    """What the runtime cannot do."""
    registry: str = reference.DEFAULT_REGISTRY
    """Of images whose references tell none."""


_USUAL = Terms()


@dataclasses.dataclass(frozen=True, slots=True)
class Parsed:
    """What files say; with problems, nothing is to be made of it."""

    manifests: tuple[registry.Manifest, ...]
    problems: tuple[problem.Problem, ...]
    archives: tuple[str, ...]
    """Absolute paths of image archives, whose stamps ``lower`` wants to know."""
    registry: str
    """Of images whose references tell none."""


def parse(files: Sequence[ManifestFile], terms: Terms = _USUAL) -> Parsed:
    """Read files; every mistake in them is told, not only the first. What the runtime lacks is one too."""
    manifests: list[registry.Manifest] = []
    problems: list[problem.Problem] = []
    for file in sorted(files, key=lambda one: one.path):
        documents, found = decode.decode(file.path, file.data)
        problems += found
        for document in documents:
            manifest, wrong = registry.parse(document, file.directory)
            problems += wrong
            if manifest is not None:
                manifests.append(manifest)
    if not problems:
        problems = [*admit.admit(manifests), *able.refused(manifests, terms.lacking)]
    archives = {path for manifest in manifests if (path := lowering.archive_path(manifest)) is not None}
    return Parsed(tuple(manifests), tuple(sorted(problems)), tuple(sorted(archives)), terms.registry)


def lower(parsed: Parsed, revision: str, stamps: Mapping[str, str]) -> state.DesiredState:
    """Say what sound files mean. Must not be called where there are problems."""
    return lowering.lower(parsed.manifests, revision, stamps, parsed.registry)
