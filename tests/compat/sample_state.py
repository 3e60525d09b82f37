"""State as a release has written it, without anything that runs: records, an engine's answers, notes, the journal.

``write`` is called by the release as it is, ``check`` by one whose models have another field. Both declare the same.
"""

import asyncio
import contextlib
import dataclasses
import enum
import json
import pathlib
import sqlite3
import typing
from collections.abc import Iterator
from typing import Any

from agent.converge import journal
from agent.drivers.docker import names, sidecar
from agent.drivers.docker import translate as docker
from agent.drivers.native import translate as native
from agent.engine import layout, records
from agent.engine.containers import table
from agent.engine.network import table as network_table
from agent.engine.spec import network as engine_network
from agent.engine.volumes import volumes
from agent.kit import canonical
from agent.manifests import pipeline
from agent.model import conditions, container, external_input, image, key, kinds, ledger, network, policy, state, volume
from agent.oci import image_config, platform
from agent.plan import planner
from tests import addressing

OWNER = "0a1b2"
ARCHIVE = "/srv/app.tar"
NOW = 1_700_000_000.0
MANIFESTS = """
apiVersion: trimtab.dev/v1
kind: Image
metadata: {name: app}
spec: {pull: {reference: "registry.example/app:1", update: {interval: 1h}}}
---
apiVersion: trimtab.dev/v1
kind: Image
metadata: {name: packed}
spec: {archive: {path: /srv/app.tar}}
---
apiVersion: trimtab.dev/v1
kind: Network
metadata: {name: shop, labels: {team: a}}
spec: {subnets: [{subnet: 10.213.90.0/24, gateway: 10.213.90.1, range: 10.213.90.128/25}], mtu: 1400}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {name: data, labels: {team: a}}
spec: {deletionPolicy: Delete}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web, labels: {team: a}}
spec:
  image: {name: app}
  command: [serve]
  args: [-v]
  env: {GREETING: hello}
  ports: ["127.0.0.1:8080:80"]
  networks: [{name: shop, aliases: [www], ipv4: 10.213.90.10}]
  mounts: [{volume: data, path: /data}, {bind: /srv, path: /srv, readOnly: true}, {tmpfs: 1Mi, path: /tmp}]
  health: {startup: {exec: ["true"]}, readiness: {http: {port: 80, path: /}}, liveness: {tcp: {port: 80}}}
  resources: {cpus: 0.5, memory: 64Mi, memoryReservation: 32Mi, pids: 50}
  security: {user: "1:2", capabilities: {drop: [MKNOD]}}
  dependsOn: [{container: job, condition: Started}]
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: job}
spec: {image: {name: packed}, networks: none, restart: {policy: OnFailure}, stop: {gracePeriod: 90s}}
"""
_SCHEMAS = (table.SCHEMA, network_table.SCHEMA, volumes.SCHEMA)
"""Of images only the labels are compared: whoever opens the whole engine needs a second for it."""
ROOTS = (
    *(state.DesiredState, state.ObservedState, ledger.LedgerEntry, conditions.ObjectStatus, sidecar.Notes),
    *(
        table.ContainerRecord,
        engine_network.NetworkSpec,
        engine_network.Endpoint,
        engine_network.Publication,
        native.AgentSide,
    ),
)
"""Models that are written, with all that is in them."""


def models() -> list[tuple[str, str]]:
    """Return every model that is written: its module and its name."""
    kinds: set[type] = set()
    pending: list[Any] = list(ROOTS)
    while pending:
        hint = pending.pop()
        pending += typing.get_args(hint)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in kinds:
            kinds.add(hint)
            hints = typing.get_type_hints(hint)
            pending += [hints[field.name] for field in dataclasses.fields(hint)]
    return sorted((model.__module__, model.__qualname__) for model in kinds if not issubclass(model, enum.Enum))


def desired() -> state.DesiredState:
    """Return what the manifests declare."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", MANIFESTS.encode())])
    assert not parsed.problems, parsed.problems
    states = {external: external_input.InputState("a stamp") for external in parsed.inputs}
    return pipeline.lower(parsed, "r1", states)


def write(folder: pathlib.Path, answers: dict[str, Any]) -> None:
    """Write everything down. ``answers``: what an engine says of the containers that were made there, by name."""
    declared = desired()
    (folder / "answers.json").write_text(json.dumps(answers))
    where = layout.of(folder, folder / "run")
    with contextlib.closing(records.Database(where.records, _SCHEMAS)) as database:
        for config in declared.containers:
            table.Table(database).put(_record(config))
        for network_config in declared.networks:
            spec = native.network_spec(network_config, labels(network_config))
            network_table.Table(database, OWNER).put_network(spec)
        endpoint = addressing.endpoint("id-web", "web", "shop", "eth0", "10.213.90.10", ("www",))
        network_table.Table(database, OWNER).put_endpoint(endpoint)
        network_table.Table(database, OWNER).put_publication(
            engine_network.Publication("id-web", _record_of_web().spec.ports)
        )
        for volume_config in declared.volumes:
            volumes.Volumes(where, database).create(volume_config.name, _volume_labels(volume_config), NOW)
    (folder / "images.json").write_text(json.dumps({pulled.reference: labels(pulled) for pulled in declared.images}))
    notes = sidecar.StateFile(folder / "docker.json")
    _note(notes, declared)
    asyncio.run(notes.kept())
    with journal.Journal(folder / "agent.sqlite", _failed) as book:
        book.remember(_entry(config) for config in declared)
        book.save_statuses([_status(config) for config in declared], [])
        book.accept(journal.Good(declared, "here", NOW))


def check(folder: pathlib.Path) -> list[str]:
    """Read everything, and return what is not as it was: steps, what waits, what is lost, and bytes that differ."""
    declared = desired()
    with journal.Journal(folder / "agent.sqlite", _failed) as book:
        entries, statuses, good = book.ledger(), book.statuses(), book.good()
        problems = [*(notice.message for notice in book.notices())]
        if good is None or good.desired != declared:
            problems.append("the last good revision is another one")
        elif good.text() != _first(folder / "agent.sqlite", "SELECT desired FROM good"):
            problems.append("the last good revision is written otherwise")
    if entries != tuple(sorted(_entry(config) for config in declared)):
        problems.append("what is remembered is not what it was")
    if statuses != tuple(sorted((_status(config) for config in declared), key=lambda status: status.key)):
        problems.append("statuses are not what they were")
    for name, observed in (("native", _native(folder)), ("docker", _docker(folder, declared))):
        observed_after = dataclasses.replace(observed, ledger=entries)
        rules = policy.PlanPolicy(OWNER, in_place=frozenset(policy.InPlace))
        computed = planner.compute_plan(declared, observed_after, rules)
        problems += [
            f"{name}: {type(step.action).__name__} {step.action.key}: {step.action.cause}" for step in computed.steps
        ]
        problems += [f"{name}: {blocked}" for blocked in computed.blocked]
    return [*problems, *_written_otherwise(folder, declared)]


def labels(config: kinds.Config) -> key.Pairs:
    """Return the ownership labels that a config is brought about with."""
    return key.ownership_labels(key.Ownership(OWNER, state.key_of(config), canonical.digest(config)))


def _record(config: container.ContainerConfig) -> table.ContainerRecord:
    return table.ContainerRecord(
        id=f"id-{config.name}",
        name=config.name,
        spec=native.container_spec(config, labels(config)),
        image_id="sha256:1",
        image_config=image_config.ImageConfig(
            platform.Platform("linux", "amd64", ""), (), ("serve",), (), "", "", "", (), (), ("sha256:2",)
        ),
        lower_dirs=("/layers/1",),
        stop_signal="SIGTERM",
        phase=table.Phase.RUNNING,
        created_at=NOW,
        run=table.Run("epoch", 41, 1, 42, 2, (("shop", "10.213.90.10"),)),
        started_at=NOW,
    )


def _record_of_web() -> table.ContainerRecord:
    return next(_record(config) for config in desired().containers if config.name == "web")


def _note(book: sidecar.StateFile, declared: state.DesiredState) -> None:
    for pulled in declared.images:
        book.note_image(pulled.reference, labels(pulled))
    for volume_config in declared.volumes:
        book.note_volume(volume_config.name, _volume_labels(volume_config))
    for config in declared.containers:
        note = sidecar.ContainerNote(
            stop_requested_at=1.0, adopted=docker.without_values(config), supervision=config.supervision
        )
        book.note_container(f"adopted-{config.name}", note)


def _volume_labels(config: volume.VolumeConfig) -> key.Pairs:
    policy_label = (key.DELETION_POLICY_LABEL, config.deletion_policy.value)
    return key.pairs((*config.labels, *labels(config), policy_label))


def _entry(config: kinds.Config) -> ledger.LedgerEntry:
    counts = (ledger.RestartCount(ledger.RestartReason.EXIT, 2),)
    newest = ledger.LatestImage("question", NOW)
    return ledger.LedgerEntry(state.key_of(config), canonical.digest(config), restarts=counts, newest=newest)


def _status(config: kinds.Config) -> conditions.ObjectStatus:
    ready = conditions.Condition(conditions.ConditionType.READY, conditions.ConditionStatus.TRUE, "Running", "", NOW)
    return conditions.ObjectStatus(state.key_of(config), canonical.digest(config), (ready,), "running")


def _native(folder: pathlib.Path) -> state.ObservedState:
    """Observe as the native driver does, as far as no host is needed for it."""
    with _opened(folder) as database:
        kept = network_table.Table(database, OWNER)
        images = json.loads((folder / "images.json").read_text())
        return state.ObservedState.of(
            NOW,
            (
                *(native.observed_container(record) for record in table.Table(database).all()),
                *(_image(reference, key.pairs(pairs)) for reference, pairs in images.items()),
                *(native.observed_network(record, healthy=True) for record in kept.networks()),
                *(native.observed_volume(record) for record in volumes.Volumes(_where(folder), database).list()),
            ),
        )


def _docker(folder: pathlib.Path, declared: state.DesiredState) -> state.ObservedState:
    """Observe as the Docker driver does, by what the engine answered."""
    answers, book = json.loads((folder / "answers.json").read_text()), sidecar.StateFile(folder / "docker.json")
    assert not book.mended, book.mended
    table_of_names = names.Names(book, OWNER)
    for config in declared.containers:
        adopted = book.container(f"adopted-{config.name}")
        assert (adopted.adopted, adopted.supervision) == (docker.without_values(config), config.supervision)
    containers = []
    for answer in answers.values():
        recalled = docker.recalled(answer["Config"]["Labels"])
        assert recalled is not None
        observed = docker.observed_container(recalled, answer, sidecar.ContainerNote(), table_of_names)
        containers.append(dataclasses.replace(observed, image_id="sha256:1"))
    return state.ObservedState.of(
        NOW,
        (
            *containers,
            *(_image(reference, pairs) for reference, pairs in book.images().items()),
            *(_engine_network(config, table_of_names) for config in declared.networks),
            *(
                docker.observed_volume({"Name": config.name}, book.volume(config.name), table_of_names)
                for config in declared.volumes
            ),
        ),
    )


def _engine_network(config: network.NetworkConfig, table_of_names: names.Names) -> network.ObservedNetwork:
    body = docker.network_body(config, labels(config), table_of_names)
    return docker.observed_network({**body, "Id": "n1"}, (), table_of_names)


def _image(reference: str, pairs: key.Pairs) -> image.ObservedImage:
    return image.ObservedImage("sha256:1", reference, pairs, 1)


def _written_otherwise(folder: pathlib.Path, declared: state.DesiredState) -> Iterator[str]:
    """Write what was read: an earlier release must be able to go on with it, where the new field is not used."""
    with _opened(folder) as database:
        for row in database.query("SELECT body FROM containers"):
            record = canonical.loads(table.ContainerRecord, row["body"])
            rewritten = dataclasses.replace(
                record, spec=native.supervised(record.spec, native.container_config(record.spec).supervision)
            )
            if canonical.dumps(rewritten).decode() != row["body"]:
                yield f"the record of {record.name} is written otherwise"
    answers = json.loads((folder / "answers.json").read_text())
    for config in declared.containers:
        if docker.remembered(config) != answers[config.name]["Config"]["Labels"][docker.CONFIG_LABEL]:
            yield f"the label of {config.name} is written otherwise"


@contextlib.contextmanager
def _opened(folder: pathlib.Path) -> Iterator[records.Database]:
    with contextlib.closing(records.Database(_where(folder).records, _SCHEMAS)) as database:
        yield database


def _where(folder: pathlib.Path) -> layout.Layout:
    return layout.of(folder, folder / "run")


def _first(path: pathlib.Path, sql: str) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute(sql).fetchone()[0])


def _failed(message: str) -> None:
    raise AssertionError(message)
