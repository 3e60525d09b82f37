"""Builds by the engine, as ``runtime.api.Builds``."""

from agent.dockerfile import builds
from agent.dockerfile import steps as build_steps
from agent.drivers.native import failures
from agent.engine import engine as engines
from agent.kit import frozen
from agent.model.key import Pairs
from agent.oci import digest


@frozen.value
class Builds:
    """``runtime.builds.Builds`` over the engine."""

    engine: engines.Engine

    async def build(self, request: builds.Request, reference: str, labels: Pairs, report: build_steps.Report) -> str:
        """Build an image, and record it."""
        with failures.translated():
            async with self.engine.builder.built(request, report) as built:
                if not reference:
                    return digest.of(built.config)
                return (await self.engine.builder.store(reference, built, labels)).id
