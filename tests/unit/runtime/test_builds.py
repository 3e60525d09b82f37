"""The role of a runtime that builds no images: refused, with the runtime's own reason."""

import pytest

from agent import errors
from agent.dockerfile import builds, parse
from agent.drivers.memory import driver
from agent.reasons import Reason


async def test_build__runtime_that_builds_none__is_refused_with_the_way_out() -> None:
    request = builds.Request(parse.parse(b"FROM a").dockerfile, b"FROM a", None)
    async with driver.open_runtime() as runtime:
        with pytest.raises(errors.InvalidArgument, match="not over memory: simulates") as refused:
            await runtime.builds.build(request, "a:1", (), lambda _: None)
    assert refused.value.reason is Reason.UNSUPPORTED
    assert "--runtime" in refused.value.hint
