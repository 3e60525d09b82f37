"""The same manifests over every runtime: plans say the same in the same words, but for what is documented to differ."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from agent import app, settings
from agent.converge import acceptance, once, reconcile
from agent.plan import render
from tests import hostports

RUNTIMES = [
    "memory",
    pytest.param("native", marks=pytest.mark.root),
    pytest.param("docker", marks=(pytest.mark.root, pytest.mark.engine)),
    pytest.param("podman", marks=(pytest.mark.root, pytest.mark.engine)),
]
NETWORK = "kind: Network\nmetadata: {{name: shop{labels}}}\nspec: {{subnets: [{subnet}]}}\n"
SECOND = "kind: Network\nmetadata: {name: back}\nspec: {internal: true}\n"
VOLUME = "kind: Volume\nmetadata: {{name: data}}\nspec: {{deletionPolicy: {policy}}}\n"
DB = (
    "kind: Container\nmetadata: {{name: db{labels}}}\nspec:\n  image: {{name: box}}\n  command: [sleep, '600']\n"
    "  networks: [{networks}]\n  mounts: [{{volume: data, path: /data}}, {{tmpfs: 1Mi, path: /tmp}}]\n"
    "  stop: {{gracePeriod: 0s}}\n  restart: {{policy: {restart}}}\n"
)
WEB = (
    "kind: Container\nmetadata: {{name: web}}\nspec:\n  image: {{name: box}}\n  command: [httpd]\n"
    "  args: [-f, -p, '{port}', -h, /www]\n  env: {{TZ: {zone}}}\n  ports: ['127.0.0.1:{host}:80']\n"
    "  networks: [{{name: shop, aliases: [www]}}]\n  stop: {{gracePeriod: 0s}}\n  resources: {{memory: {memory}}}\n"
    "  dependsOn: [{{container: db, condition: Started}}]\n"
)


class Subject:
    """A runtime, and manifests that it is given."""

    def __init__(self, chosen: settings.Settings, parts: reconcile.Parts, folder: pathlib.Path, image: str) -> None:
        """Prepare a subject that declares nothing yet."""
        self._chosen = chosen
        self._parts = parts
        self._folder = folder
        self._fields = {
            "labels": "",
            "subnet": "10.91.0.0/24",
            "policy": "Retain",
            "networks": "shop",
            "restart": "Always",
            "port": "80",
            "zone": "UTC",
            "host": str(hostports.free_port()),
            "memory": "32Mi",
        }
        self._image = f"kind: Image\nmetadata: {{name: box}}\nspec: {{archive: {{path: {image}}}}}\n"

    def declare(self, *left_out: str, **fields: str) -> None:
        """Write manifests, with some fields as they are given and the others as they were."""
        self._fields |= fields
        kinds = {"image": self._image, "back": SECOND}
        kinds |= {"shop": NETWORK, "data": VOLUME, "db": DB, "web": WEB}
        for name, text in kinds.items():
            path = self._folder / f"{name}.yaml"
            if name in left_out:
                path.unlink(missing_ok=True)
            else:
                filled = text if name in {"image", "back"} else text.format(**self._fields)
                path.write_text(f"apiVersion: trimtab.dev/v1\n{filled}")

    async def plan(self) -> str:
        """Return what `trimtab plan` prints."""
        desired = (await app.read(self._chosen, str(self._folder))).checked()
        observed = await reconcile.look(self._parts)
        sight = app.Sight(self._parts.owner, self._parts.runtime.features.in_place, observed)
        return render.text(app.plan_for(desired, sight))

    async def apply(self) -> str:
        """Bring it about, and give the plan after that."""
        async with app.open_source(self._chosen, str(self._folder)) as source:
            converged = await once.apply(self._parts, source)
        assert converged.unfinished == ()
        return await self.plan()

    async def remove(self) -> None:
        """Leave nothing behind."""
        desired = (await app.read(self._chosen, str(self._folder))).checked()
        await once.delete(self._parts, desired)
        for volume in await self._parts.runtime.volumes.list():
            await self._parts.runtime.volumes.remove(volume.name)
        listed = self._parts.runtime.containers, self._parts.runtime.networks, self._parts.runtime.images
        assert [await role.list() for role in listed] == [(), (), ()]


@pytest.fixture
async def subject(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, busybox_archive: pathlib.Path, monkeypatch
) -> AsyncIterator[Subject]:
    """A runtime with nothing in it."""
    for name in ("SHORTENED_AFTER", "DATA_AFTER"):  # the files are whole: nobody waits until they have rested
        monkeypatch.setattr(acceptance, name, 0.0)
    if request.param in app.ENGINES:
        for name, value in request.getfixturevalue(f"{request.param}_engine").environment.items():
            monkeypatch.setenv(name, value)
    chosen = settings.Settings(root=tmp_path / "root", run_dir=tmp_path / "run", runtime=request.param)
    folder = tmp_path / "manifests"
    folder.mkdir()
    async with app.open_parts(chosen, lambda _: None) as parts:
        opened_subject = Subject(chosen, parts, folder, str(busybox_archive))
        opened_subject.declare()
        yield opened_subject
        await opened_subject.remove()


CREATED = """\
  + Container/db is created
      because Missing: not there yet
  + Container/web is created
      because Missing: not there yet
  + Image/box is created
      because Missing: not there yet
  + Network/back is created
      because Missing: not there yet
  + Network/shop is created
      because Missing: not there yet
  + Volume/data is created
      because Missing: not there yet

Plan: 6 to create, 0 to change, 0 to replace, 0 to remove."""

NOTHING = "Nothing to change."


CHANGED = """\
  ~ Container/db is changed
      because Changed: networks: shop -> back shop
      because Changed: restart: policy=Always -> policy=UnlessStopped
-/+ Container/web is replaced
      because Changed: env: TZ changed (forces replacement)
  ~ Volume/data is changed
      because Changed: deletionPolicy: Retain -> Delete

Plan: 0 to create, 2 to change, 1 to replace, 0 to remove."""

ANOTHER_SUBNET = """\
  ~ Container/db is changed
      because Changed: network shop is made anew
  ~ Container/web is changed
      because Changed: network shop is made anew
-/+ Network/shop is replaced
      because Changed: subnets: 10.91.0.0/24 gateway 10.91.0.1 -> 10.92.0.0/24

Plan: 0 to create, 2 to change, 1 to replace, 0 to remove."""

LESS = """\
  ~ Container/db is changed
      because Changed: networks: back shop -> shop
  - Container/web is removed
      because Orphaned: no longer declared
  - Network/back is removed
      because Orphaned: no longer declared

Plan: 0 to create, 1 to change, 0 to replace, 2 to remove."""

NOTHING_LEFT = """\
  - Container/db is removed
      because Orphaned: no longer declared
  - Network/shop is removed
      because Orphaned: no longer declared
  - Volume/data is removed
      because Orphaned: no longer declared

Plan: 0 to create, 0 to change, 0 to replace, 3 to remove."""


@pytest.mark.parametrize("subject", RUNTIMES, indirect=True)
async def test_plan__from_nothing_over_changes_to_nothing__says_the_same_over_every_runtime(subject: Subject) -> None:
    assert await subject.plan() == CREATED
    assert await subject.apply() == NOTHING
    subject.declare(zone="Europe/Berlin", policy="Delete", networks="back, shop", restart="UnlessStopped")
    assert await subject.plan() == CHANGED
    assert await subject.apply() == NOTHING
    subject.declare(subnet="10.92.0.0/24")
    assert await subject.plan() == ANOTHER_SUBNET
    assert await subject.apply() == NOTHING
    subject.declare("web", "back", networks="shop")
    assert await subject.plan() == LESS
    assert await subject.apply() == NOTHING
    subject.declare("web", "back", "db", "data", "shop")
    assert await subject.plan() == NOTHING_LEFT
    assert await subject.apply() == NOTHING


IN_PLACE = """\
  ~ Container/db is changed
      because Changed: labels: - -> tier=back
  ~ Container/web is changed
      because Changed: resources: memory=32Mi -> memory=48Mi
  ~ Network/shop is changed
      because Changed: labels: - -> tier=back

Plan: 0 to create, 3 to change, 0 to replace, 0 to remove."""

LABELS_REPLACED = """\
-/+ Container/db is replaced
      because Changed: labels: - -> tier=back (forces replacement)
  ~ Container/web is changed
      because Changed: resources: memory=32Mi -> memory=48Mi
  ~ Network/shop is changed
      because Changed: labels: - -> tier=back

Plan: 0 to create, 2 to change, 1 to replace, 0 to remove."""

ALL_REPLACED = """\
-/+ Container/db is replaced
      because Changed: labels: - -> tier=back (forces replacement)
-/+ Container/web is replaced
      because Changed: resources: memory=32Mi -> memory=48Mi (forces replacement)
  ~ Network/shop is changed
      because Changed: labels: - -> tier=back

Plan: 0 to create, 1 to change, 2 to replace, 0 to remove."""


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("memory", IN_PLACE),
        pytest.param("native", IN_PLACE, marks=pytest.mark.root),
        pytest.param("docker", LABELS_REPLACED, marks=(pytest.mark.root, pytest.mark.engine)),
        pytest.param("podman", ALL_REPLACED, marks=(pytest.mark.root, pytest.mark.engine)),
    ],
    indirect=["subject"],
)
async def test_plan__labels_and_limits__are_changed_in_place_where_the_runtime_can(
    subject: Subject, expected: str
) -> None:
    assert await subject.apply() == NOTHING
    subject.declare(memory="48Mi", labels=", labels: {tier: back}")
    assert await subject.plan() == expected
    assert await subject.apply() == NOTHING
