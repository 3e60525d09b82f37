"""``runtime.builds.Builds`` over an engine: its own builder, BuildKit or Podman's, gets the context as a tar."""

import asyncio
import contextlib
import json
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

from agent import errors
from agent.dockerfile import builds
from agent.dockerfile import steps as build_steps
from agent.drivers.docker import build_archive, connection, sidecar, transfers
from agent.kit import frozen
from agent.model.key import Pairs
from agent.reasons import Reason
from agent.runtime import build_files

_TITLE = "the engine builds"
_WHAT = "the build"
_LAST_LINES = 3
_LONGEST_TAIL = 600
"""Characters of what an engine says that a failure repeats."""
_OWN_REASONS = frozenset(
    {
        *(Reason.CONTENT_MISSING, Reason.DISK_FULL, Reason.ENGINE_DOWN, Reason.ENGINE_TIMEOUT, Reason.IMAGE_NOT_FOUND),
        *(Reason.IMAGE_PULL_DENIED, Reason.IMAGE_PULL_FAILED, Reason.PLATFORM_NOT_FOUND),
    }
)
"""What a build may fail for that is not the Dockerfile's fault."""


@frozen.value(kw_only=True)
class Builds:
    """Builds by the engine. It gets no secrets, ssh agents and named contexts: those need a session with BuildKit."""

    engine: connection.Connection
    state_file: sidecar.StateFile
    scratch: pathlib.Path
    """A directory for temporary archives."""

    async def build(self, request: builds.Request, reference: str, labels: Pairs, report: build_steps.Report) -> str:
        """Build an image, note its labels, and return its id."""
        self._check(request)
        step = _Step(report)
        try:
            with _failures():
                identity = await self._build(request, reference, step)
        except errors.Failure as error:
            step.ended(error.message)
            error.message += step.last_lines
            raise
        step.ended("")
        if reference:
            self.state_file.note_image(reference, labels)
            await self.state_file.kept()
        return identity

    async def _build(self, request: builds.Request, reference: str, step: "_Step") -> str:
        work = await asyncio.to_thread(transfers.scratch_directory, self.scratch)
        with tempfile.TemporaryFile(dir=work) as file:
            try:
                dockerfile = await asyncio.to_thread(build_archive.write, request, file)
            except OSError as error:
                message = f"the context cannot be read: {error.strerror or error} ({error.filename or request.context})"
                raise errors.NotFound(message, reason=Reason.CONTENT_MISSING) from error
            async with (
                transfers.bounded_by_silence(self.engine, _WHAT) as moved,
                self.engine.stream_response(
                    "build",
                    _WHAT,
                    method="POST",
                    params={**_parameters(request, reference), "dockerfile": dockerfile},
                    data=transfers.chunks(file, moved),
                ) as answer,
            ):
                image_id = ""
                async for entry in transfers.messages(answer, _WHAT, moved):
                    image_id = _identity(entry) or image_id
                    if entry.get("stream"):
                        step.output(str(entry["stream"]))
        if reference:
            image_id = str((await self.engine.ask(f"images/{reference}/json", f"image {reference}"))["Id"])
        return image_id

    def _check(self, request: builds.Request) -> None:
        """Raise ``errors.InvalidArgument`` (``Unsupported``) for what an engine does not get."""
        name = self.engine.where.flavour
        asked = {
            "secrets": bool(request.secrets),
            "ssh agents": bool(request.ssh),
            "named contexts": bool(request.contexts),
            "output but the image": request.output is not None,
            "caches of registries": bool(request.cache_from or request.cache_to),
        }
        for what, is_asked in asked.items():
            if is_asked:
                raise errors.InvalidArgument(
                    f"builds over {name} get no {what}",
                    hint=f"build it by {name} itself, or with --runtime native",
                    reason=Reason.UNSUPPORTED,
                )


class _Step:
    """All of a build as one step: engines tell their own only in BuildKit's binary trace."""

    def __init__(self, report: build_steps.Report) -> None:
        self._report = report
        self._tail = ""
        self._begun = time.monotonic()
        report(build_steps.StepBegun(1, _TITLE))

    def output(self, text: str) -> None:
        """Report what the engine says."""
        self._tail = (self._tail + text)[-_LONGEST_TAIL:]
        self._report(build_steps.StepOutput(1, text.encode()))

    @property
    def last_lines(self) -> str:
        """Return the last lines of what the engine has said, as the end of a sentence; empty where it said nothing."""
        lines = [line.strip() for line in self._tail.splitlines() if line.strip()]
        return f"; it said last: {' | '.join(lines[-_LAST_LINES:])}" if lines else ""

    def ended(self, error: str) -> None:
        """Report the end."""
        self._report(build_steps.StepEnded(1, time.monotonic() - self._begun, error=error))


def _parameters(request: builds.Request, reference: str) -> Mapping[str, str]:
    """Return the query of the call, by https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image."""
    arguments = dict(request.build_args)
    if request.epoch is not None:
        arguments[build_files.EPOCH] = str(request.epoch)
    values = {
        "version": "2",  # BuildKit; Podman, which has one builder, does not look at it
        "t": reference,
        "target": request.target,
        "platform": request.platform,
        "buildargs": json.dumps(arguments) if arguments else "",
        "labels": json.dumps(dict(request.labels)) if request.labels else "",
        "networkmode": "" if request.network == "default" else str(request.network),
        "nocache": "" if request.uses_cache else "1",
        "pull": "1" if request.pulls else "",
        "layers": "false",  # Podman would keep an image for each step, and use none; Docker does not look at it
    }
    return {name: value for name, value in values.items() if value}


def _identity(message: Mapping[str, Any]) -> str:
    """Return the image's id, where a message tells it."""
    aux = message.get("aux")
    return str(aux.get("ID") or "") if isinstance(aux, dict) else ""


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Raise ``errors.InvalidArgument`` (``BuildFailed``) for whatever the Dockerfile's fault is."""
    try:
        yield
    except errors.Failure as error:
        if error.reason in _OWN_REASONS:
            raise
        raise errors.InvalidArgument(error.message, hint=error.hint, reason=Reason.BUILD_FAILED) from error
