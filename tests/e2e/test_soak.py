"""A soak: two hundred random changes, and violence, while one agent runs; in the end all is as if nothing had been."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import hostports, instances
from tests import quickstart_image as images
from tests.e2e import changing_world, command

pytestmark = pytest.mark.root

CHANGES = 200
LOOKS_EVERY = 20
KINDS = ("containers", "networks", "volumes")
PATIENCE = 45.0
"""Seconds until what was changed last is so, with all that failed meanwhile because of it."""
FEW = 3
"""Descriptors that may be there by chance."""
POOLS = min(32, (os.cpu_count() or 1) + 4) + 4 + 3
"""Threads that asyncio's pool, the networks' and the watch of archives keep at most, once they were needed."""
GROWTH = 8 * 1024 * 1024
"""Bytes that an agent may grow by after its first changes: a tenth of them leaked a change would be more."""


@pytest.fixture
def archives(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[pathlib.Path]:
    """Two images that tell themselves apart."""
    paths = [tmp_path / "first.tar", tmp_path / "second.tar"]
    for path in paths:
        monkeypatch.setattr(images, "ACCOUNTS", {**images.ACCOUNTS, "www/which": path.stem.encode()})
        images.main(path)
    return paths


def test_soak__two_hundred_random_changes__each_is_brought_about_and_nothing_is_left(
    native: command.Trimtab, archives: list[pathlib.Path]
) -> None:
    """``SOAK_SEED=2`` before the command tries another row of changes."""
    seed = int(os.environ.get("SOAK_SEED", "1"))
    folder = native.home / "manifests"
    world = changing_world.World(folder, archives, [hostports.free_port() for _ in range(5)], seed)
    with native.running(folder, environment={"TRIMTAB_CONVERGE_RELIST": "1s"}) as agent:
        agent.assert_ready()
        soak = Soak(native, agent, world, random.Random(seed))  # noqa: S311 - a row that can be repeated
        with _reporting(soak, seed):
            soak.makes_changes()
            soak.assert_ends_as_it_began()
        assert agent.stop() == 0


@contextlib.contextmanager
def _reporting(soak: "Soak", seed: int) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"SOAK_SEED={seed}, after:\n  " + "\n  ".join(soak.done[-30:]))
        error.add_note(f"the agent:\n{soak.agent.log[-6000:]}")
        raise


class Soak:
    """An agent, what it is told, and what is done behind its back."""

    def __init__(
        self, native: command.Trimtab, agent: command.Agent, world: changing_world.World, chance: random.Random
    ) -> None:
        """Begin with an agent that has only images."""
        self.done: list[str] = []
        self.agent = agent
        self._native = native
        self._world = world
        self._random = chance
        self._kept: set[str] = set()
        self._before = Footprint(agent.pid)

    def makes_changes(self) -> None:
        """Change things one after the other, mostly while the last change is under way, and look now and then."""
        for number in range(1, CHANGES + 1):
            reads = self._reads()
            self.done.append(f"{number}: {self._world.change()}")
            if self._random.random() < 0.5:
                command.assert_eventually(lambda reads=reads: self._reads() > reads, "the change is read")
            if self._random.random() < 0.3:
                self.done.append(self._random.choice(VIOLENCE)(self._native.instance, self._some_server()))
            if number % LOOKS_EVERY == 0:
                self._world.mend()
                self._is_as_declared()
            if number == LOOKS_EVERY:
                self._before.rss = Footprint(self.agent.pid).rss

    def assert_ends_as_it_began(self) -> None:
        """Take everything back, and compare the agent with what it was."""
        self._world.clear()
        self._is_as_declared()
        self._world.forget_volumes()
        self._is_as_declared()
        assert self.agent.metric("trimtab_internal_errors_total") == 0
        before = self._before
        command.assert_eventually(
            lambda: len(Footprint(self.agent.pid).files) <= len(before.files) + FEW, "few files are open"
        )
        after = Footprint(self.agent.pid)
        assert after.threads <= before.threads + POOLS
        assert after.zombies == []
        assert after.rss <= before.rss + GROWTH

    def _reads(self) -> float:
        results = ("good", "rejected", "failed")
        counts = (self.agent.metric(f'trimtab_source_reads_total{{result="{result}"}}') for result in results)
        return sum(value or 0.0 for value in counts)

    def _some_server(self) -> str:
        return self._random.choice([*self._world.servers(), "nobody"])

    def _is_as_declared(self) -> None:
        """Wait until nothing is left to change, and all that runs is what is declared."""
        differences: list[str] = []

        def is_so() -> bool:
            differences[:] = self._differences()
            return not differences

        try:
            command.assert_eventually(is_so, "all is as declared", PATIENCE)
        except AssertionError as error:
            error.add_note("\n".join(differences))
            raise
        self._kept |= {name for name, policy in self._world.volumes.items() if policy == "Retain"}

    def _differences(self) -> list[str]:
        """Return differences from the declaration: by the agent's count, by a plan from outside, and by observation."""
        moving = self.agent.metric("trimtab_objects_in_flight") or self.agent.metric("trimtab_plan_steps")
        if moving:
            return [f"{moving:g} actions"]
        plan = self._native("plan", self._native.home / "manifests")
        if plan.returncode:
            return [plan.stdout, plan.stderr]
        return list(self._unlike(self._native.output("observe")["observed"]))

    def _unlike(self, observed: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
        world = self._world
        names = {kind: {item["name"] for item in objects} for kind, objects in observed.items() if kind in KINDS}
        if names["networks"] != self._networks():
            yield f"networks: {names['networks']}"
        if not (world.volumes.keys() | self._kept & world.given_up) <= names["volumes"]:
            yield f"volumes: {names['volumes']} of which {self._kept} are kept"
        if not names["volumes"] <= world.volumes.keys() | world.given_up:
            yield f"volumes: {names['volumes']}"
        if names["containers"] != world.containers.keys():
            yield f"containers: {names['containers']}"
        for item in observed["containers"]:
            if item["name"] in world.containers:
                with contextlib.suppress(FileNotFoundError):
                    yield from self._unlike_container(item, world.containers[item["name"]])
        pages = self._pages()
        if pages != self._declared_pages():
            yield f"pages: {pages}, not {self._declared_pages()}"

    def _networks(self) -> set[str]:
        default = {"bridge"} if any(not container.networks for container in self._world.containers.values()) else set()
        return self._world.networks.keys() | default

    def _unlike_container(self, container: dict[str, Any], declared: changing_world.Container) -> Iterator[str]:
        name = container["name"]
        if declared.job:
            if (container["state"], container["exit_code"]) != ("exited", 0):
                yield f"{name}: {container['state']}"
            return
        if container["state"] != "running":
            yield f"{name}: {container['state']}"
            return
        inside = pathlib.Path(f"/proc/{container['pid']}")
        actual = {
            "number": re.findall(r"NUMBER=(\d+)\0", (inside / "environ").read_text()),
            "image": (inside / "root/www/which").read_text(),
            "volumes": sorted(re.findall(r" /(data-\d+) ", (inside / "mountinfo").read_text())),
            "networks": sorted(network for network, _ in container["addresses"]),
            "memory": container["config"]["resources"]["memory"],
        }
        expected = {
            "number": [str(declared.number)],
            "image": self._world.variant(name),
            "volumes": sorted(declared.volumes),
            "networks": sorted(declared.networks or ["bridge"]),
            "memory": declared.memory * 1024 * 1024,
        }
        yield from (
            f"{name}: {key} is {actual[key]}, not {expected[key]}" for key in actual if actual[key] != expected[key]
        )

    def _declared_pages(self) -> dict[int, str]:
        world = self._world
        servers = {name: world.containers[name] for name in world.servers()}
        return {port: world.variant(name) for name, server in servers.items() for port in server.ports}

    def _pages(self) -> dict[int, str]:
        """Return what the published ports answer."""
        pages = {}
        for port in self._declared_pages():
            url = f"http://127.0.0.1:{port}/which"
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
                pages[port] = answer.read().decode()
        return pages


class Footprint:
    """The resources that a process holds: files, threads, memory (bytes) and zombies."""

    def __init__(self, pid: int) -> None:
        """Read the resources from /proc."""
        home = pathlib.Path(f"/proc/{pid}")
        status = (home / "status").read_text()
        self.files = list((home / "fd").iterdir())
        self.threads = int(re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)[0])
        self.rss = int(re.findall(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[0]) * 1024
        self.zombies = [child for child in _children(pid) if child[1] == "Z"]


def _children(pid: int) -> Iterator[tuple[str, str]]:
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                yield path.parent.name, state


def _kill(instance: instances.Instance, name: str) -> str:
    """Kill a container's first process, if it runs now."""
    with contextlib.suppress(OSError, ValueError):
        for bundle in instance.where.bundles.iterdir():
            if json.loads((bundle / "config.json").read_text())["hostname"] == name:
                pid = int((bundle / "pid").read_text())
                if bundle.name in pathlib.Path(f"/proc/{pid}/cgroup").read_text():
                    os.kill(pid, signal.SIGKILL)
                    return f"{name} is killed"
    return f"{name} would be killed, but does not run"


def _delete_a_bridge(instance: instances.Instance, name: str) -> str:
    bridges = [link for link in instance.links() if link.startswith("tt")]
    if not bridges:
        return "there is no bridge"
    link = bridges[len(name) % len(bridges)]
    subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)  # the agent may be at it as well
    return f"{link} is deleted"


def _delete_the_firewall(instance: instances.Instance, _: str) -> str:
    for table in instance.tables():
        subprocess.run(["nft", "delete", "table", *table.split()], check=False, capture_output=True)
    return "the firewall is deleted"


def _kill_the_name_server(instance: instances.Instance, _: str) -> str:
    instances.kill(*(pid for pid, words in instance.processes().items() if "aardvark-dns" in words))
    return "the name server is killed"


VIOLENCE: tuple[Callable[[instances.Instance, str], str], ...] = (
    *(_kill, _kill, _kill, _kill),
    *(_delete_a_bridge, _delete_the_firewall, _kill_the_name_server),
)
