"""Adoption as a whole: what an engine has becomes manifests in a directory, and ours. Above ``app``, by its doors."""

import asyncio
import dataclasses
import pathlib
from collections.abc import Iterable

from agent import app, errors, settings
from agent.drivers.docker import adoption, driver
from agent.kit import atomicfile
from agent.manifests import pipeline, write
from agent.model import state
from agent.model.key import Kind, ObjectKey


class CannotAdopt(errors.TrimtabError):
    """Nothing was adopted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Adopted:
    """What became of it."""

    files: tuple[str, ...]
    """Paths of the manifests that were (or would be) written."""
    containers: tuple[str, ...]
    """Containers that were taken over, by the names that they have in their manifests."""
    left: tuple[adoption.Left, ...]


async def adopt(
    chosen: settings.Settings, directory: pathlib.Path, wanted: tuple[str, ...], *, dry_run: bool
) -> Adopted:
    """Take over what an engine runs: manifests in a directory, and notes of whose it is.

    Raises ``CannotAdopt``, and what opening the runtime raises.
    """
    if chosen.runtime not in app.ENGINES:
        raise CannotAdopt(f"the {chosen.runtime} runtime has nothing to adopt", hint="--runtime docker, or podman")
    declared = await _declared(chosen, directory)
    async with app.open_runtime(chosen, exclusive=not dry_run) as runtime:
        if not isinstance(runtime, driver.DockerRuntime):
            raise TypeError("an engine is driven by the driver for engines")
        taker = adoption.Adoption(runtime, app.owner(chosen))
        survey = sound(await taker.survey(wanted))
        texts = files(survey, declared)
        written = paths(directory, texts) if dry_run else store(directory, texts)
        if not dry_run:
            taker.adopt(survey)
    return Adopted(written, tuple(sorted(one.config.name for one in survey.containers)), survey.left)


async def _declared(chosen: settings.Settings, directory: pathlib.Path) -> frozenset[ObjectKey]:
    """Give what a directory declares already; adopting may go on in several steps."""
    if not await asyncio.to_thread(directory.is_dir):
        return frozenset()
    reading = await app.read(chosen, str(directory))
    reading.checked()
    return frozenset(manifest.key for manifest in reading.parsed.manifests)


def sound(survey: adoption.Survey) -> adoption.Survey:
    """Leave alone, with the reasons, what manifests would be refused for: a name that is none, a port claimed twice."""
    kept, left = list(survey.containers), list(survey.left)
    while problems := _problems(kept, survey):
        left += [adoption.Left(one.engine_name, problems[one.id]) for one in kept if one.id in problems]
        kept = [one for one in kept if one.id not in problems]
    used = {key for one in kept for key in state.used_by(one.config)}
    return adoption.Survey(
        containers=tuple(kept),
        networks=tuple(one for one in survey.networks if state.key_of(one[1]) in used),
        volumes=tuple(one for one in survey.volumes if state.key_of(one[1]) in used),
        left=tuple(sorted(left, key=lambda one: one.name)),
    )


def _problems(containers: list[adoption.Found], survey: adoption.Survey) -> dict[str, tuple[str, ...]]:
    """Give what is wrong with containers and with what they use, by the containers' ids."""
    used = {key for one in containers for key in state.used_by(one.config)}
    written = {one.id: write.container_manifest(one.config) for one in containers}
    written |= {str(state.key_of(one)): write.network_manifest(one) for _, one in survey.networks}
    written |= {str(state.key_of(one)): write.volume_manifest(one) for _, one in survey.volumes}
    wanted = {one.id for one in containers} | {str(key) for key in used}
    documents = {name: write.text([written[name]]).encode() for name in wanted & written.keys()}
    parsed = pipeline.parse([pipeline.ManifestFile(name, "/", data) for name, data in documents.items()])
    told: dict[str, list[str]] = {}
    for one in parsed.problems:
        told.setdefault(one.path, []).append(one.message)
    reasons = {
        one.id: [words for name in (one.id, *map(str, state.used_by(one.config))) for words in told.get(name, ())]
        for one in containers
    }
    return {identity: tuple(words) for identity, words in reasons.items() if words}


def files(survey: adoption.Survey, declared: frozenset[ObjectKey]) -> dict[str, str]:
    """Give manifests for what was found, a file a Compose project or container; nothing that is declared already.

    What several of them use is written with the first.
    """
    networks = {config.name: config for _, config in survey.networks}
    volumes = {config.name: config for _, config in survey.volumes}
    told = set(declared)
    documents: dict[str, list[write.Json]] = {}
    for one in sorted(survey.containers, key=lambda found: (found.group, found.config.name)):
        mine = documents.setdefault(f"{one.group}.yaml", [])
        for key in state.used_by(one.config):
            if key not in told:
                told.add(key)
                if key.kind is Kind.NETWORK:
                    mine.append(write.network_manifest(networks[key.name]))
                else:
                    mine.append(write.volume_manifest(volumes[key.name]))
        mine.append(write.container_manifest(one.config))
    return {name: write.text(written) for name, written in documents.items()}


def store(directory: pathlib.Path, texts: dict[str, str]) -> tuple[str, ...]:
    """Write files into a directory, which is made where it is missing. Raises ``CannotAdopt`` for one that is there."""
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
    """Name the files."""
    return tuple(str(directory / name) for name in sorted(texts))
