"""Keys of the build cache: what a step's result depends on, and nothing else. Pure.

A key has the chain id of the layers that the step stands on, so that what has become different below is different
above; and digests of what it takes, never times. Values of secrets are not in it.
"""

import dataclasses
import json
from collections.abc import Iterable

from agent.dockerfile import evaluate, instructions
from agent.oci import digest

_VERSION = 1
"""Another one where what a step does changes: what older releases have kept is not used then."""


def of_run(below: str, step: evaluate.RunStep, inputs: Iterable[object], network: str) -> str:
    """Return the key of RUN. ``inputs``: what its bind mounts show; ``network``: what it has."""
    mounts = [_mount(mount) for mount in step.mounts]
    script = (step.script.path, step.script.content) if step.script else None
    fields = (step.words, step.env, step.directory, step.user, mounts, network, step.security, script)
    return _key("RUN", below, (*fields, list(inputs)))


def of_copy(below: str, step: evaluate.CopyStep, inputs: Iterable[object], owner: tuple[int | None, ...]) -> str:
    """Return the key of COPY and ADD. ``inputs``: what is copied; ``owner``: ids and mode that it gets."""
    sources = step.sources
    documents = [(document.name, document.content) for document in sources.documents]
    flags = (step.is_add, step.keeps_parents, step.unpacks, sources.is_linked, owner)
    return _key("COPY", below, (sources.target, documents, flags, list(inputs)))


def of_folder(below: str, step: evaluate.DirectoryStep) -> str:
    """Return the key of WORKDIR."""
    return _key("WORKDIR", below, (step.path, step.user))


def _mount(mount: instructions.Mount) -> list[object]:
    return [getattr(mount, field.name) for field in dataclasses.fields(mount)]


def _key(kind: str, below: str, fields: object) -> str:
    return digest.of(json.dumps([_VERSION, kind, below, fields]).encode())  # names that are no UTF-8 as escapes
