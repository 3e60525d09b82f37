"""An engine's start on records that were damaged anywhere, a hundred places a kind, as far as it needs no process.

Records are mended, opened and examined as the agent's start does it, and the rooms that stand on them recover: what is
kept is what was, no data or layer is thrown away, and the next change is written. Containers themselves run on over
damaged records in tests/e2e/test_damaged_records.py, for few places.
"""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from agent.drivers.native import driver
from agent.engine import engine, layout, mending, records, soundness
from agent.engine.containers import table
from agent.engine.kernel import recording
from agent.engine.network import table as network_table
from agent.engine.snapshots import snapshots
from agent.engine.spec import network as network_spec
from agent.engine.volumes import volumes
from agent.kit import clock, notices
from tests import addressing, damages
from tests.unit.drivers import test_native_translate

PLACES = 100
CONTAINERS = 24


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms of an engine that keep records, over one database."""

    database: records.Database
    containers: table.Table
    networks: network_table.Table
    volumes: volumes.Volumes
    layers: snapshots.Snapshots

    def recover(self) -> None:
        """Do what the start does with what lies on the disk."""
        self.volumes.check()
        self.volumes.recover()
        in_use = (pathlib.Path(path).parent.name for record in self.containers.all() for path in record.lower_dirs)
        self.layers.collect(frozenset(in_use))

    def state(self) -> object:
        """Return everything that is on record."""
        networks = self.networks
        return (
            self.containers.all(),
            networks.networks(),
            sorted(networks.endpoints(), key=str),
            sorted(networks.publications(), key=str),
            [networks.last_address(network.name) for network in networks.networks()],
            self.volumes.list(),
            self.layers.present(),
        )


@contextlib.contextmanager
def opened(where: layout.Layout) -> Iterator[Rooms]:
    """Open the records as the agent's start does, after they were mended."""
    with contextlib.closing(records.Database(where.records, engine.SCHEMAS, second_log=where.second_log)) as database:
        containers = table.Table(database)
        driver._check_records(where, containers)
        register = notices.Register(clock.SystemClock(), lambda _: None)
        yield Rooms(
            database,
            containers,
            network_table.Table(database, where.instance),
            volumes.Volumes(where, database),
            snapshots.Snapshots(where, database, recording.RecordingKernel(), register),
        )


def mended(where: layout.Layout) -> str:
    """Mend the records as the agent's start does; return what is to be said of it."""
    return mending.mend(where.records, engine.SCHEMAS, soundness.CHECKS, where.second_log)


def fill(where: layout.Layout, rooms: Rooms) -> None:
    """Make containers of every phase in two networks, on layers of their own, with volumes."""
    for name in ("shop", "back"):
        subnet = addressing.subnet(f"10.{len(name)}.0.0/16", f"10.{len(name)}.0.1")
        rooms.networks.put_network(network_spec.NetworkSpec(name, (subnet,)))
    for number in range(CONTAINERS):
        id, name, phase = f"id{number:02}", f"web{number:02}", list(table.Phase)[number % 3]
        layer = where.snapshots / f"layer{number:02}" / "fs"
        layer.mkdir(parents=True)
        run = table.Run("epoch", 41, 1, 42, 2, ()) if phase is table.Phase.RUNNING else None
        rooms.containers.put(
            test_native_translate.record(id=id, name=name, phase=phase, run=run, lower_dirs=(str(layer),))
        )
        rooms.networks.put_endpoint(addressing.endpoint(id, name, "shop", "eth0", f"10.4.0.{number + 2}", ("www",)))
        ports = (addressing.port("127.0.0.1", 8000 + number, 80, "tcp"),)
        rooms.networks.put_publication(network_spec.Publication(id, ports))
        rooms.database.execute(
            "INSERT INTO snapshots (chain_id, directory) VALUES (?, ?)", (f"sha256:{number:064}", layer.parent.name)
        )
        data = rooms.volumes.create(f"data{number:02}", (("team", "a"),), float(number))
        (data.path / "file").write_text(name)


@pytest.fixture
def where() -> Iterator[layout.Layout]:
    """The records of an instance that was closed; in memory, as they are opened some thousand times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        where = layout.of(pathlib.Path(folder) / "root", pathlib.Path(folder) / "run")
        for path in (where.root, where.run, where.snapshots):
            path.mkdir()
        assert mended(where) == ""
        with opened(where) as rooms:
            fill(where, rooms)
        yield where


def files(where: layout.Layout) -> set[str]:
    """Return what the instance keeps beside its records: layers and data."""
    kept = (*where.snapshots.rglob("*"), *where.volumes.rglob("*"))
    return {str(path.relative_to(where.root)) for path in kept}


@pytest.mark.parametrize("kind", damages.KINDS)
def test_start__records_are_damaged_anywhere__is_as_before_and_the_next_change_is_kept(
    where: layout.Layout, kind: str
) -> None:
    with opened(where) as rooms:
        rooms.recover()
        before = rooms.state()
    sound, kept, noticed = where.records.read_bytes(), files(where), 0
    assert len(kept) > 2 * CONTAINERS
    for place in range(PLACES):
        damages.damage(where.records, kind, place)
        noticed += bool(mended(where))
        with opened(where) as rooms:
            rooms.recover()
            assert rooms.state() == before, place
            assert files(where) == kept, place
            ended = rooms.containers.get("web01")
            rooms.containers.put(dataclasses.replace(ended, phase=table.Phase.EXITED, run=None, exit_code=place))
        with opened(where) as rooms:
            assert rooms.containers.get("web01").exit_code == place
            rooms.containers.put(ended)
        for path in where.root.glob("engine.sqlite?*"):
            path.unlink()
        where.records.write_bytes(sound)
        assert mended(where) == "", "what was put back is sound"
    assert noticed > 0, "some of it was damage that is noticed"
