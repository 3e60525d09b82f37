"""The role of runtimes that build no images: refused, with the runtime's own reason."""

import pytest

from agent import errors
from agent.dockerfile import builds, parse
from agent.drivers.docker import unsupported_features
from agent.model.features import Feature
from agent.reasons import Reason
from agent.runtime import api
from agent.runtime import builds as roles


@pytest.mark.parametrize("flavour", ["docker", "podman"])
async def test_build__engine_that_is_not_driven_yet__is_refused_with_the_way_out(flavour: str) -> None:
    features = api.Features(flavour, frozenset(), unsupported_features.of(flavour, local=True))
    request = builds.Request(parse.parse(b"FROM a").dockerfile, b"FROM a", None)
    with pytest.raises(errors.InvalidArgument, match=f"not over {flavour}: .*; {flavour} build makes") as refused:
        await roles.NoBuilds(features.require).build(request, "a:1", (), lambda _: None)
    assert refused.value.reason is Reason.UNSUPPORTED
    assert Feature.BUILDS in dict(features.unsupported)
