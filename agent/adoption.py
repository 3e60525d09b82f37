"""Adoption as a whole: an engine's containers become manifests in a directory, and ours. Above ``app``."""

import asyncio
import pathlib
from collections.abc import Iterable

from agent import app, errors, settings
from agent.drivers.docker import adoption, driver
from agent.kit import atomicfile, frozen
from agent.manifests import pipeline, write
from agent.model import state
from agent.model.key import Kind, ObjectKey


class CannotAdopt(errors.TrimtabError):
    """Nothing was adopted."""


@frozen.value
class Adopted:
    """The result of an adoption."""

    files: tuple[str, ...]
    """Paths of the manifests that were (or would be) written."""
    containers: tuple[str, ...]
    """Containers that were taken over, by the names that they have in their manifests."""
    skipped: tuple[adoption.SkippedContainer, ...]


def document(adopted: Adopted) -> dict[str, object]:
    """Return the outcome for programs; its keys are stable."""
    return {"files": adopted.files, "containers": adopted.containers, "left": adopted.skipped}


async def adopt(
    chosen: settings.Settings, directory: pathlib.Path, names: tuple[str, ...], *, dry_run: bool
) -> Adopted:
    """Take over what an engine runs: write manifests into a directory, and record the ownership.

    Raises ``CannotAdopt``, and what opening the runtime raises.
    """
    if chosen.runtime not in app.ENGINES:
        raise CannotAdopt(f"the {chosen.runtime} runtime has nothing to adopt", hint="--runtime docker, or podman")
    declared = await _declared(chosen, directory)
    async with app.open_runtime(chosen, exclusive=not dry_run) as runtime:
        if not isinstance(runtime, driver.DockerRuntime):
            raise TypeError("an engine is driven by the driver for engines")
        taker = adoption.Adoption(runtime, app.owner(chosen))
        survey = without_refused(await taker.survey(names))
        texts = files(survey, declared)
        manifest_paths = paths(directory, texts) if dry_run else store(directory, texts)
        if not dry_run:
            await taker.adopt(survey)
    return Adopted(
        manifest_paths, tuple(sorted(container.config.name for container in survey.containers)), survey.skipped
    )


async def _declared(chosen: settings.Settings, directory: pathlib.Path) -> frozenset[ObjectKey]:
    """Return what a directory declares already: an adoption may take several steps."""
    if not await asyncio.to_thread(directory.is_dir):
        return frozenset()
    reading = await app.read(chosen, str(directory))
    reading.checked()
    return frozenset(manifest.key for manifest in reading.parsed.manifests)


def without_refused(survey: adoption.Survey) -> adoption.Survey:
    """Return the survey without containers whose manifests would be refused (an invalid name, a port claimed twice)."""
    accepted, skipped = list(survey.containers), list(survey.skipped)
    while problems := _problems(accepted, survey):
        skipped += [
            adoption.SkippedContainer(container.engine_name, problems[container.id])
            for container in accepted
            if container.id in problems
        ]
        accepted = [container for container in accepted if container.id not in problems]
    used = {key for container in accepted for key in state.used_by(container.config)}
    return adoption.Survey(
        containers=tuple(accepted),
        networks=tuple(network for network in survey.networks if state.key_of(network[1]) in used),
        volumes=tuple(volume for volume in survey.volumes if state.key_of(volume[1]) in used),
        skipped=tuple(sorted(skipped, key=lambda container: container.name)),
    )


def _problems(containers: list[adoption.AdoptableContainer], survey: adoption.Survey) -> dict[str, tuple[str, ...]]:
    """Return the problems of containers and of what they use, by the containers' ids."""
    used = {key for container in containers for key in state.used_by(container.config)}
    manifests = {container.id: write.container_manifest(container.config) for container in containers}
    manifests |= {str(state.key_of(config)): write.network_manifest(config) for _, config in survey.networks}
    manifests |= {str(state.key_of(config)): write.volume_manifest(config) for _, config in survey.volumes}
    needed = {container.id for container in containers} | {str(key) for key in used}
    documents = {name: write.text([manifests[name]]).encode() for name in needed & manifests.keys()}
    parsed = pipeline.parse([pipeline.ManifestFile(name, "/", data) for name, data in documents.items()])
    messages: dict[str, list[str]] = {}
    for problem in parsed.problems:
        messages.setdefault(problem.path, []).append(problem.message)
    reasons = {
        container.id: [
            words
            for name in (container.id, *map(str, state.used_by(container.config)))
            for words in messages.get(name, ())
        ]
        for container in containers
    }
    return {identity: tuple(words) for identity, words in reasons.items() if words}


def files(survey: adoption.Survey, declared: frozenset[ObjectKey]) -> dict[str, str]:
    """Return manifests for a survey, a file per Compose project or container, without what is declared already.

    What several of them use is written with the first.
    """
    networks = {config.name: config for _, config in survey.networks}
    volumes = {config.name: config for _, config in survey.volumes}
    covered = set(declared)
    documents: dict[str, list[write.Json]] = {}
    for container in sorted(survey.containers, key=lambda container: (container.group, container.config.name)):
        group = documents.setdefault(f"{container.group}.yaml", [])
        for key in state.used_by(container.config):
            if key not in covered:
                covered.add(key)
                if key.kind is Kind.NETWORK:
                    group.append(write.network_manifest(networks[key.name]))
                else:
                    group.append(write.volume_manifest(volumes[key.name]))
        group.append(write.container_manifest(container.config))
    return {name: write.text(manifests) for name, manifests in documents.items()}


def store(directory: pathlib.Path, texts: dict[str, str]) -> tuple[str, ...]:
    """Write files into a directory, which is created if missing. Raises ``CannotAdopt`` where a file exists."""
    present = sorted(name for name in texts if (directory / name).exists())
    if present:
        raise CannotAdopt(f"{directory / present[0]} is there already", hint="choose another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            atomicfile.write(directory / name, text.encode(), mode=0o600)  # what it declares may hold secrets
    except OSError as error:
        raise CannotAdopt(f"{directory} cannot be written: {error.strerror}", hint="nothing was adopted") from error
    return paths(directory, texts)


def paths(directory: pathlib.Path, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the files' paths, sorted."""
    return tuple(str(directory / name) for name in sorted(texts))
