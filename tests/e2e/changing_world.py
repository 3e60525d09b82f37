"""What a host is to run, as it changes at random: every change is valid, and each state can be brought about."""

import dataclasses
import itertools
import json
import pathlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MOST = 8
"""Containers, networks and volumes at a time, of each kind."""
POLICIES = ("Always", "OnFailure", "UnlessStopped")
PROBES: tuple[dict[str, Any], ...] = (
    {},
    {"readiness": {"http": {"port": 80, "path": "/which"}, "period": "500ms"}},
    {"liveness": {"tcp": {"port": 80}, "period": "1s", "failureThreshold": 5}},
)
MEBIBYTES = (16, 24, 32)


@dataclasses.dataclass
class Container:
    """A web server that goes on, or a job that ends."""

    job: bool
    image: str
    number: int
    """What its environment says."""
    memory: int
    pids: int
    policy: str
    probes: dict[str, Any]
    networks: list[str]
    ports: list[int] = dataclasses.field(default_factory=list)
    volumes: list[str] = dataclasses.field(default_factory=list)
    depends: list[str] = dataclasses.field(default_factory=list)


class World:
    """All that is declared, a file an object; files are written so that at no moment one names what is not there."""

    def __init__(self, folder: pathlib.Path, archives: Sequence[pathlib.Path], ports: Sequence[int], seed: int) -> None:
        """Declare two images, which stay, and nothing else."""
        self.containers: dict[str, Container] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, str] = {}
        self.images = {"blue": archives[0], "green": archives[1]}
        self.given_up: set[str] = set()
        """Volumes that are not declared any more and whose data stays."""
        self._random = random.Random(seed)  # noqa: S311 - a row that can be repeated
        self._folder = folder
        self._archives = archives
        self._ports = ports
        self._numbers = itertools.count(1)
        self._broken = ""
        for name in self.images:
            self._write_image(name)

    def change(self) -> str:
        """Change something, and say what."""
        possible: tuple[Callable[[], str | None], ...] = (
            *(self._add_container, self._add_container, self._add_container, self._remove_container),
            *(self._change_container,) * 6,
            *(self._add_network, self._add_network, self._change_network, self._remove_network),
            *(self._add_volume, self._add_volume, self._remove_volume, self._change_image, self._break_a_file),
        )
        while True:
            change = self._random.choice(possible)()
            if change is not None:
                return change

    def mend(self) -> None:
        """Mend the file that is broken, if any is."""
        if self._broken in self.containers:
            self._write_container(self._broken)
        self._broken = ""

    def clear(self) -> None:
        """Declare only the images, and data that was given up as to be deleted with its volume."""
        self._broken = ""
        for name in reversed(self.containers):
            self._unlink("Container", name)
        for name in self.networks:
            self._unlink("Network", name)
        self.volumes |= dict.fromkeys(self.given_up, "Delete")
        for name in self.volumes:
            self._write("Volume", name, {"deletionPolicy": "Delete"})
        self.containers, self.networks, self.given_up = {}, {}, set()

    def forget_volumes(self) -> None:
        """Declare no volume any more."""
        for name in self.volumes:
            self._unlink("Volume", name)
        self.volumes = {}

    def servers(self) -> list[str]:
        """Name the containers that go on."""
        return [name for name, container in self.containers.items() if not container.job]

    def variant(self, name: str) -> str:
        """Return which archive a container is created from."""
        return self.images[self.containers[name].image].stem

    def _add_container(self) -> str | None:
        if len(self.containers) == MOST:
            return None
        job = self._random.random() < 0.2
        name = f"{'job' if job else 'web'}-{next(self._numbers)}"
        self.containers[name] = Container(
            job=job,
            image=self._random.choice(list(self.images)),
            number=next(self._numbers),
            memory=self._random.choice(MEBIBYTES),
            pids=self._random.randint(20, 40),
            policy=self._random.choice(POLICIES),
            probes={},
            networks=self._some_networks(),
            volumes=self._some(self.volumes),
        )
        self._write_container(name)
        return f"{name} is added"

    def _remove_container(self) -> str | None:
        if not self.containers:
            return None
        name = self._random.choice(list(self.containers))
        self._leave(lambda container: container.depends, name)
        del self.containers[name]
        self._unlink("Container", name)
        return f"{name} is removed"

    def _change_container(self) -> str | None:
        if not self.containers:
            return None
        name = self._random.choice(list(self.containers))
        container = self.containers[name]
        fields = ("image", "number", "memory", "pids", "policy", "probes", "networks", "ports", "volumes", "depends")
        field = self._random.choice(fields)
        value = self._another(name, field)
        if value == getattr(container, field):
            return None
        setattr(container, field, value)
        if not self._ways_out(container):
            container.ports = []
        self._write_container(name)
        return f"{name}: {field} is {value}"

    def _another(self, name: str, field: str) -> object:
        container = self.containers[name]
        match field:
            case "image":
                return self._random.choice(list(self.images))
            case "number":
                return next(self._numbers)
            case "memory":
                return self._random.choice(MEBIBYTES)
            case "pids":
                return self._random.randint(20, 40)
            case "policy":
                return self._random.choice(POLICIES)
            case "probes":
                return {} if container.job else self._random.choice(PROBES)
            case "networks":
                return self._some_networks()
            case "ports":
                return self._some_ports() if self._ways_out(container) else []
            case "volumes":
                return self._some(self.volumes)
            case _:
                older = itertools.takewhile(lambda other: other != name, self.containers)
                return self._some(list(older))

    def _add_network(self) -> str | None:
        if len(self.networks) == MOST:
            return None
        name = f"net-{next(self._numbers)}"
        self.networks[name] = {"internal": self._random.random() < 0.3, "mtu": 1500}
        self._write("Network", name, self.networks[name])
        return f"{name} is added"

    def _change_network(self) -> str | None:
        if not self.networks:
            return None
        name = self._random.choice(list(self.networks))
        mtu = self.networks[name]["mtu"] = 2900 - self.networks[name]["mtu"]
        self._write("Network", name, self.networks[name])
        return f"{name}: mtu is {mtu}"

    def _remove_network(self) -> str | None:
        if not self.networks:
            return None
        name = self._random.choice(list(self.networks))
        self._leave(lambda container: container.networks, name)
        del self.networks[name]
        self._unlink("Network", name)
        return f"{name} is removed"

    def _add_volume(self) -> str | None:
        if len(self.volumes) == MOST:
            return None
        policy = self._random.choice(("Retain", "Delete"))
        name = f"data-{next(self._numbers)}"
        self.volumes[name] = policy
        self._write("Volume", name, {"deletionPolicy": policy})
        return f"{name} is added, {policy}"

    def _remove_volume(self) -> str | None:
        if not self.volumes:
            return None
        name = self._random.choice(list(self.volumes))
        self._leave(lambda container: container.volumes, name)
        if self.volumes.pop(name) == "Retain":
            self.given_up.add(name)
        self._unlink("Volume", name)
        return f"{name} is removed"

    def _change_image(self) -> str:
        name = self._random.choice(list(self.images))
        (self.images[name],) = (path for path in self._archives if path != self.images[name])
        self._write_image(name)
        return f"image {name} is from {self.images[name].name}"

    def _break_a_file(self) -> str | None:
        if not self.containers or self._broken:
            return None
        self._broken = self._random.choice(list(self.containers))
        path = self._path("Container", self._broken)
        path.write_text(path.read_text()[: self._random.randint(2, 60)])
        return f"the file of {self._broken} is broken"

    def _some(self, names: Sequence[str] | dict[str, str]) -> list[str]:
        return self._random.sample(sorted(names), min(len(names), self._random.choice((0, 1, 1, 2))))

    def _some_networks(self) -> list[str]:
        return self._some(list(self.networks))

    def _some_ports(self) -> list[int]:
        taken = {port for container in self.containers.values() for port in container.ports}
        free = [port for port in self._ports if port not in taken]
        return self._random.sample(free, min(len(free), self._random.choice((0, 1, 2))))

    def _ways_out(self, container: Container) -> list[str]:
        return [name for name in container.networks or ["bridge"] if not self.networks.get(name, {}).get("internal")]

    def _leave(self, of: Callable[[Container], list[str]], name: str) -> None:
        """Take a name out of all containers that refer to it."""
        for user, container in self.containers.items():
            if name in of(container):
                of(container).remove(name)
                if not self._ways_out(container):
                    container.ports = []
                self._write_container(user)

    def _write_container(self, name: str) -> None:
        container = self.containers[name]
        spec = {
            "image": {"name": container.image},
            "env": {"NUMBER": str(container.number)},
            "resources": {"memory": f"{container.memory}Mi", "pids": container.pids},
            "restart": {"policy": container.policy, "backoff": {"initial": "100ms", "max": "200ms"}},
            "health": container.probes,
            "networks": container.networks or "bridge",
            "ports": [f"127.0.0.1:{port}:80" for port in container.ports],
            "mounts": [{"volume": volume, "path": f"/{volume}"} for volume in container.volumes],
            "dependsOn": list(self._dependencies(container)),
            "stop": {"gracePeriod": "0s"},
        }
        if container.job:
            spec |= {"command": ["sh", "-c", "exit 0"], "restart": {"policy": "Never"}}
        self._write("Container", name, spec)
        if self._broken == name:
            self._broken = ""

    def _dependencies(self, container: Container) -> Iterator[dict[str, str]]:
        for name in container.depends:
            yield {"container": name, "condition": "Completed" if self.containers[name].job else "Healthy"}

    def _write_image(self, name: str) -> None:
        self._write("Image", name, {"archive": {"path": str(self.images[name])}})

    def _write(self, kind: str, name: str, spec: object) -> None:
        """Replace a file as editors do: never half of it."""
        document = {"apiVersion": "trimtab.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        path = self._path(kind, name)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(document))
        temporary.rename(path)

    def _unlink(self, kind: str, name: str) -> None:
        self._path(kind, name).unlink()

    def _path(self, kind: str, name: str) -> pathlib.Path:
        return self._folder / f"{kind.lower()}-{name}.yaml"
