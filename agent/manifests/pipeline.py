"""From files to the desired state in two steps, ``parse`` and ``lower``.

Between them the caller reads the external inputs that the manifests declare; what is wrong in those is a problem too.
"""

import dataclasses
from collections.abc import Sequence

from agent.kit import frozen
from agent.manifests import admission, admit, decode, inputs, problem, registry, support
from agent.manifests import lower as lowering
from agent.model import external_input, features, state
from agent.oci import reference


@frozen.value
class ManifestFile:
    """One manifest file's bytes and where it is."""

    path: str
    """As shown in problems."""
    directory: str
    """Absolute directory that relative paths in it start at."""
    data: bytes
    folder: external_input.SourceFolder | None = None
    """What the source's own files lie below; ``None``: ``directory``."""

    @property
    def location(self) -> registry.Location:
        """Return where the file lies."""
        return registry.Location(self.directory, self.folder or external_input.SourceFolder(self.directory))


@frozen.value
class ParseOptions:
    """Options of parsing: unsupported features, the default registry, the admission policy."""

    unsupported: features.Unsupported = features.NOTHING_UNSUPPORTED
    """Features that the runtime does not support."""
    registry: str = reference.DEFAULT_REGISTRY
    """The registry of image references that name none."""
    admitted: admission.Policy = admission.EVERYTHING
    """What the source may ask of the host."""
    host_key: bytes = dataclasses.field(default=b"", repr=False)
    """Keys the fingerprints of Secrets' values; empty: they have none, and nothing may be made by what is lowered."""


_DEFAULTS = ParseOptions()


@frozen.value
class Parsed:
    """The manifests and problems of all files; with any problem, the manifests must not be lowered."""

    manifests: tuple[registry.Manifest, ...]
    problems: tuple[problem.Problem, ...]
    inputs: tuple[external_input.ExternalInput, ...]
    """Files that the manifests name, whose states ``lower`` needs, sorted."""
    registry: str
    """The registry of image references that name none."""
    host_key: bytes = dataclasses.field(repr=False)
    """Keys the fingerprints of Secrets' values."""


def parse(files: Sequence[ManifestFile], options: ParseOptions = _DEFAULTS) -> Parsed:
    """Parse and check files, and collect their problems, features that the runtime does not support among them."""
    manifests, findings = _documents(files)
    if not findings.first:
        findings.add(admit.admit(manifests))
        limits_builds = options.admitted.access.limits_builds
        findings.add(support.check(manifests, options.unsupported, limits_builds=limits_builds))
    if not findings.first and not options.admitted.admits_everything:
        desired = lowering.lower(manifests, "", {}, options.registry, options.host_key)
        findings.add(admission.problems(manifests, desired, options.admitted))
    declared = {external for manifest in manifests for external in inputs.declared(manifest)}
    return Parsed(tuple(manifests), findings.reported(), tuple(sorted(declared)), options.registry, options.host_key)


def _documents(files: Sequence[ManifestFile]) -> tuple[list[registry.Manifest], problem.Findings]:
    """Parse files one by one, until there are more problems than are reported."""
    manifests: list[registry.Manifest] = []
    findings = problem.Findings()
    for file in sorted(files, key=lambda file: file.path):
        documents, wrong = decode.decode(file.path, file.data)
        findings.add(wrong)
        for document in documents:
            if findings.full:
                return manifests, findings
            manifest = registry.parse(document, file.location, findings)
            if manifest is not None:
                manifests.append(manifest)
        for document in documents:
            document.let_go()
    return manifests, findings


def input_problems(parsed: Parsed, states: external_input.Inputs) -> tuple[problem.Problem, ...]:
    """Return what is wrong in the external inputs of files that have no problems themselves."""
    findings = problem.Findings()
    findings.add(inputs.problems(parsed.manifests, states))
    return findings.reported()


def lower(parsed: Parsed, revision: str, states: external_input.Inputs) -> state.DesiredState:
    """Return the desired state of parsed files. Must not be called where there are problems, of inputs included."""
    return lowering.lower(parsed.manifests, revision, states, parsed.registry, parsed.host_key)
