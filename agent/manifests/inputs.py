"""The external inputs that manifests declare: which they are, what lowering takes of them, what is wrong in them.

A new kind is declared here, read in ``sources/external_inputs``, and fingerprinted in ``model/external_input``.
"""

import posixpath
from collections.abc import Iterable, Iterator

from agent.manifests import env_file, problem, program_limits, registry
from agent.manifests.v1 import container, image, network, secret, volume
from agent.model import external_input
from agent.model.external_input import ExternalInput, InputKind
from agent.model.image import ArchiveSource
from agent.model.key import Pairs, pairs

LARGEST_USE = 64 * 1024 * 1024
"""Bytes of env files in all containers of a source together: they are in memory and in the journal once a container."""
_NOT_READ = external_input.InputState(external_input.MISSING)


def declared(manifest: registry.Manifest) -> Iterator[ExternalInput]:
    """Yield the inputs that a manifest names."""
    match manifest.object:
        case image.Image(spec=spec):
            if spec.archive is not None:
                yield ExternalInput(InputKind.ARCHIVE, _absolute(spec.archive.path, manifest))
            if spec.build is not None:
                context = _absolute(spec.build.context, manifest)
                dockerfile = posixpath.normpath(posixpath.join(context, spec.build.dockerfile))
                within = manifest.folder if is_below(context, manifest.folder.path) else None
                yield ExternalInput(InputKind.BUILD, context, within, dockerfile)
        case container.Container(spec=spec):
            for path in spec.env_file:
                yield ExternalInput(InputKind.ENV_FILE, _absolute(path, manifest), manifest.folder)
        case network.Network() | secret.Secret() | volume.Volume():
            pass


def archive(manifest: registry.Manifest, states: external_input.Inputs) -> ArchiveSource | None:
    """Return the archive that an Image comes from, with its fingerprint; ``None`` where it comes from none."""
    external = _of_kind(manifest, InputKind.ARCHIVE)
    return None if external is None else ArchiveSource(external.path, states.get(external, _NOT_READ).fingerprint)


def build(
    manifest: registry.Manifest, states: external_input.Inputs
) -> tuple[ExternalInput, external_input.InputState] | None:
    """Return the files that an Image is built of, and what they are; ``None`` where it is not built."""
    external = _of_kind(manifest, InputKind.BUILD)
    return None if external is None else (external, states.get(external, _NOT_READ))


def _of_kind(manifest: registry.Manifest, kind: InputKind) -> ExternalInput | None:
    return next((external for external in declared(manifest) if external.kind is kind), None)


def environment(manifest: registry.Manifest, states: external_input.Inputs) -> Pairs:
    """Return the variables of a Container's env files; a later file wins."""
    variables: dict[str, str] = {}
    for external in declared(manifest):
        variables |= env_file.parse(states.get(external, _NOT_READ).content).variables
    return pairs(variables)


def outside(manifest: registry.Manifest, spec: container.ContainerSpec) -> Iterator[problem.Problem]:
    """Yield a problem for each path that leaves the source's folder by how it is written."""
    for number, path in enumerate(spec.env_file):
        if not is_below(_absolute(path, manifest), manifest.folder.path):
            message = f"{problem.shortened(path)} is not below the source's folder, {manifest.folder.path}"
            yield manifest.document.problem(message, "move it there", "spec", "envFile", number)


def is_below(path: str, folder: str) -> bool:
    """Return whether an absolute path without detours lies below a folder, or is it."""
    return posixpath.commonpath((path, folder)) == posixpath.normpath(folder)


def problems(manifests: Iterable[registry.Manifest], states: external_input.Inputs) -> Iterator[problem.Problem]:
    """Yield what keeps inputs from being used: at the manifest's field, or at the line of the file itself."""
    used = 0
    for manifest in manifests:
        if not isinstance(manifest.object, container.Container):
            continue  # missing archives and contexts are the runtime's to report: their images may be there already
        own = 0
        for number, path in enumerate(manifest.object.spec.env_file):
            external = ExternalInput(InputKind.ENV_FILE, _absolute(path, manifest), manifest.folder)
            state = states.get(external, _NOT_READ)
            used += len(state.content)
            own += len(state.content)
            if own > program_limits.MOST_BYTES:
                message = f"the env files of a container have more than {program_limits.MOST_BYTES // 1024} KiB"
                yield manifest.document.problem(message, "give large data as a file, by a mount", "spec", "envFile")
                break
            if used > LARGEST_USE:
                message = f"env files make more than {LARGEST_USE // 2**20} MiB of variables, each use counted"
                yield manifest.document.problem(message, "let fewer containers use them", "spec", "envFile", number)
                return
            if state.problem:
                message = f"{problem.shortened(path)} {state.problem}"
                yield manifest.document.problem(message, state.hint, "spec", "envFile", number)
            else:
                shown = posixpath.normpath(posixpath.join(posixpath.dirname(manifest.document.path), path))
                for mistake in env_file.parse(state.content).mistakes:
                    yield problem.Problem(shown, mistake.line, 1, mistake.message, mistake.hint)


def _absolute(path: str, manifest: registry.Manifest) -> str:
    return posixpath.normpath(posixpath.join(manifest.directory, path))
