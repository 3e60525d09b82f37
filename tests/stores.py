"""The rooms in which images live, joined as the engine joins them."""

from agent.engine import engine, layout, records
from agent.engine.containers import table
from agent.engine.content import leases, store
from agent.engine.images import collection, collector, images, intake, signatures
from agent.engine.kernel import linux
from agent.engine.registry import client
from agent.engine.snapshots import snapshots
from agent.kit import clock

SCHEMAS = engine.SCHEMAS


def opened(
    where: layout.Layout,
    database: records.Database,
    registry: client.RegistryClient,
    rules: tuple[signatures.Rule, ...] = (),
    thresholds: collection.Thresholds | None = None,
) -> images.Rooms:
    """Give all that images stand on; the content store is ready to be written to."""
    content, kernel, held, time = (
        store.ContentStore(where),
        linux.LinuxKernel(),
        leases.Leases(where),
        clock.SystemClock(),
    )
    content.prepare()
    layers = snapshots.Snapshots(where, database, kernel)

    def again() -> records.Database:
        return records.Database(where.records, SCHEMAS)

    around = collector.Rooms(where, content, held, again, table.images, time)
    return images.Rooms(
        database=database,
        content=content,
        layers=layers,
        registry=registry,
        intake=intake.Intake(intake.Rooms(where, kernel, content, layers, registry)),
        verifier=signatures.Verifier(rules, registry, database),
        leases=held,
        collector=collector.Collector(around, thresholds or collection.Thresholds()),
        clock=time,
    )
