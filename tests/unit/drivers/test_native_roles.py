"""The native runtime's roles let pass no failure but those of ``errors``, whichever of their methods is called."""

import contextlib
import errno
import inspect
import pathlib
import typing
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent import errors
from agent.drivers.native import containers, stores, translate
from agent.engine import engine as engines
from agent.engine import layout, records
from agent.engine.containers import table
from agent.kit import canonical, clock
from agent.model import container
from agent.oci import archives
from agent.reasons import Reason
from agent.runtime import api, disk, streams
from tests import builders
from tests.unit.drivers import test_native_translate

ROLES = (stores.Images, stores.Networks, stores.Volumes, stores.Disk, containers.Containers)
WITHOUT_FAILURES = {"use", "recheck", "space"}
"""``space`` answers ``None`` where the disk does not tell."""
ARGUMENTS: dict[str, Any] = {
    "archive": None,
    "attachment": container.NetworkAttachment("shop", (), None),
    "change": api.ContainerChange(labels=()),
    "form": archives.ArchiveFormat.OCI,
    "labels": (),
    "name": "web",
    "network_name": "shop",
    "new": "app:2",
    "out": None,
    "path": "/nowhere",
    "pinned": "",
    "progress": lambda _: None,
    "ref": "web",
    "reference": "docker.io/library/app:1",
    "references": ("docker.io/library/app:1",),
    "request": streams.ExecRequest(("true",)),
    "root": archives.RootImage(),
    "signal": "SIGTERM",
    "stop": container.StopConfig("SIGTERM", 1.0),
    "target": "docker.io/library/app:2",
}
CONFIGS = {
    stores.Images: builders.image_config(builders.IMAGE),
    stores.Networks: builders.network_config(),
    stores.Volumes: builders.volume_config(),
    containers.Containers: builders.config(),
}
FAILURES = {
    Reason.HOST_FAILURE: OSError(errno.EIO, "Input/output error"),
    Reason.DISK_FULL: OSError(errno.ENOSPC, "No space left on device"),
    Reason.NEWER_STATE: canonical.Unknown("added: there is no such field"),
}


class Failing:
    """Whatever is asked of it fails."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def __getattr__(self, _: str) -> "Failing":
        return self

    def __call__(self, *_: object, **__: object) -> typing.NoReturn:
        """Fail."""
        raise self._failure


class FailingEngine:
    """An engine on a host on which everything fails; where its files lie is known all the same."""

    def __init__(self, where: layout.Layout, failure: Exception) -> None:
        self.where = where
        self.exclusive = True
        self.clock = clock.SystemClock()
        self._failing = Failing(failure)

    def __getattr__(self, _: str) -> Failing:
        return self._failing


def methods() -> list[tuple[type, str]]:
    """Return every method of every role that can fail."""
    return [
        (role, name)
        for role in ROLES
        for name, _ in inspect.getmembers(role, inspect.isfunction)
        if not name.startswith("_") and name not in WITHOUT_FAILURES
    ]


async def called(role: object, name: str) -> None:
    """Call a method of a role, and take what it gives."""
    method = getattr(role, name)
    arguments = {**ARGUMENTS, "config": CONFIGS.get(type(role))}
    if name == "logs":
        arguments["request"] = streams.LogRequest()
    result = method(**{parameter: arguments[parameter] for parameter in inspect.signature(method).parameters})
    if inspect.isawaitable(result):
        await result
    elif isinstance(result, AsyncIterator):
        await anext(result)
    else:
        async with result:
            pass


@pytest.mark.parametrize("reason", FAILURES)
@pytest.mark.parametrize(("role", "name"), methods())
async def test_role__its_engine_fails__is_a_failure_of_the_runtime(
    tmp_path: pathlib.Path, role: type, name: str, reason: Reason
) -> None:
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.root.mkdir()
    where.records.touch()
    with pytest.raises(errors.Unavailable) as failure:
        await called(role(FailingEngine(where, FAILURES[reason])), name)
    assert failure.value.reason is reason


def test_roles__all_of_their_methods_are_tried() -> None:
    tried = {f"{role.__name__}.{name}" for role, name in methods()}
    protocols = (api.Images, api.Networks, api.Volumes, disk.Disk, api.Containers)
    declared = {
        f"{protocol.__name__}.{name}"
        for protocol in protocols
        for name, _ in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_") and name not in WITHOUT_FAILURES
    }
    assert len(declared) > 25
    assert declared - tried == set()


@contextlib.asynccontextmanager
async def looking(tmp_path: pathlib.Path, record: table.ContainerRecord) -> AsyncIterator[engines.Engine]:
    """Open an engine whose records hold a container, to look at it."""
    where = layout.of(tmp_path / "root", tmp_path / "run")
    where.root.mkdir()
    with contextlib.closing(records.Database(where.records, engines.SCHEMAS)) as database:
        table.Table(database).put(record)
    async with engines.looking(where, engines.Options()) as engine:
        yield engine


async def test_list__a_newer_release_has_written_a_container__is_told_with_a_way_out(tmp_path: pathlib.Path) -> None:
    spec = test_native_translate._annotated({"added": 1})
    async with looking(tmp_path, test_native_translate.record(spec=spec)) as engine:
        with pytest.raises(errors.Unavailable, match="container called: AgentSide") as failure:
            await containers.Containers(engine).list()
    assert failure.value.reason is Reason.NEWER_STATE
    assert "upgrade trimtab, or give another --root" in failure.value.hint


async def test_list__a_container_of_this_release__is_listed(tmp_path: pathlib.Path) -> None:
    async with looking(tmp_path, test_native_translate.record()) as engine:
        (observed,) = await containers.Containers(engine).list()
    assert observed == translate.observed_container(test_native_translate.record())


async def test_logs__the_file_cannot_be_read__is_a_failure_of_the_runtime(tmp_path: pathlib.Path) -> None:
    async with looking(tmp_path, test_native_translate.record()) as engine:
        engine.where.log("1").mkdir(parents=True)
        with pytest.raises(errors.Unavailable, match="the host refused"):
            await anext(containers.Containers(engine).logs("called", streams.LogRequest()))
