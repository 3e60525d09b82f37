"""The role of a runtime that builds images."""

from collections.abc import Callable
from typing import Protocol

from agent.dockerfile import builds
from agent.dockerfile import steps as build_steps
from agent.kit import frozen
from agent.model import features
from agent.model.key import Pairs


class Builds(Protocol):
    """Builds of images from Dockerfiles."""

    async def build(self, request: builds.Request, reference: str, labels: Pairs, report: build_steps.Report) -> str:
        """Build an image, keep it under a reference in place of what was there, and give its id.

        Without a reference (empty) the image is built and not kept. Cancelling leaves nothing but what the next build
        begins with. Raises ``InvalidArgument``: ``builds.BuildFailed`` with the place in the Dockerfile, and
        ``Unsupported`` where the runtime builds none (``Feature.BUILDS``); as ``Images.ensure`` for base images.
        """


@frozen.value
class NoBuilds:
    """The role of a runtime that builds none."""

    require: Callable[[features.Feature], None]
    """Raises for a feature that the runtime does not have now (``api.Features.require``)."""

    async def build(self, request: builds.Request, reference: str, labels: Pairs, report: build_steps.Report) -> str:
        """Raise ``errors.InvalidArgument`` (``Unsupported``)."""
        del request, reference, labels, report
        self.require(features.Feature.BUILDS)
        raise AssertionError(features.Feature.BUILDS)
