"""What a registry answers in place of a cache."""

from typing import Any, cast

import pytest

from agent import errors
from agent.distribution.registry import client
from agent.engine.build import remote_caches


class Answering:
    """A registry, and a policy by which nothing has to be signed."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def manifest(self, _: object) -> client.Fetched:
        """Answer."""
        return client.Fetched(self._data, "application/vnd.oci.image.manifest.v1+json")

    def demands(self, _: object) -> bool:
        """Ask for no signature."""
        return False


@pytest.mark.parametrize("data", [b"", b"nonsense", b"{}", b"[]", b'{"layers": [], "manifests": []}', b"\xff"])
async def test_read__a_manifest_that_is_none__is_refused(data: bytes) -> None:
    answering = cast("Any", Answering(data))
    deps = remote_caches.Deps(
        content=answering, registry=answering, fetcher=answering, verifier=answering, sources=answering
    )
    with pytest.raises(errors.InvalidArgument, match=r"the cache registry\.example/c is damaged"):
        await remote_caches.RemoteCaches(deps).read("registry.example/c")
