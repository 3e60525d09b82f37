"""A host with Docker or Podman on it, as whoever sits at it sees it: by its own command line, from its own network."""

import dataclasses
import os
import pathlib
import subprocess
from typing import Any

from agent.distribution.archives import docker_archive
from tests import engines
from tests.e2e import command

IMAGE = "localhost/quickstart:latest"
"""What the image is called by strangers; manifests load it from an archive under a name of their own."""
SLEEP = "command: [sleep, '600']"
_BUILT_IN = frozenset({"bridge", "host", "none", "podman", "ingress"})
_IMAGE = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: quickstart}}
spec: {{archive: {{path: {path}}}}}
"""
_CONTAINER = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: {name}}}
spec: {{image: {{name: quickstart}}, stop: {{gracePeriod: 0s}}, {spec}}}
"""


@dataclasses.dataclass(frozen=True)
class EngineHost:
    """The host, with the command ``trimtab`` on it."""

    switch: engines.Running
    trimtab: command.Trimtab
    archive: pathlib.Path

    @property
    def engine(self) -> engines.Engine:
        """The engine."""
        return self.switch.engine

    @property
    def folder(self) -> pathlib.Path:
        """The manifests."""
        return self.trimtab.home / "manifests"

    def write(self, **containers: str) -> pathlib.Path:
        """Write manifests: the image, and containers by their specs."""
        self.drop("image", _IMAGE.format(path=self.archive))
        for name, spec in containers.items():
            self.drop(name, _CONTAINER.format(name=name, spec=spec))
        return self.folder

    def drop(self, name: str, text: str) -> None:
        """Replace a file as editors do: never half of it."""
        self.folder.mkdir(exist_ok=True)
        temporary = self.folder / f".{name}"
        temporary.write_text(text)
        temporary.rename(self.folder / f"{name}.yaml")

    def docker(self, *words: object) -> str:
        """Run Docker's command line on the engine, be it Podman."""
        return self.run("docker", *words)

    def podman(self, *words: object) -> str:
        """Run Podman's own on its service."""
        return self.run("podman", "--url", self.engine.url, *words)

    def stop(self, *names: str) -> None:
        """Stop containers as people do, with the engine's own command line.

        Podman 4.3 tells nothing of a stop that reaches it by Docker's API, and of its own only while it goes on.
        """
        (self.docker if self.engine.flavour == "docker" else self.podman)("stop", "--time", "3", *names)

    def compose(self, file: pathlib.Path, *words: object) -> str:
        """Run docker-compose on the engine."""
        return self.run("docker-compose", "--file", file, *words)

    def run(self, *words: object) -> str:
        """Run a program that finds the engine by its environment."""
        environment = {**os.environ, "DOCKER_HOST": self.engine.url, "HOME": str(self.trimtab.home)}
        completed = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, check=False, env=environment, timeout=60
        )
        assert completed.returncode == 0, f"{words}: {completed.stderr}"
        return completed.stdout

    def load(self) -> None:
        """Load the image as strangers do."""
        path = self.trimtab.home / "image.tar"
        with path.open("wb") as file:
            docker_archive.convert(self.archive, IMAGE, file)
        self.docker("load", "--input", path)

    def container(self, name: str) -> dict[str, Any]:
        """Inspect a container by the engine."""
        document: dict[str, Any] = self.engine.call("GET", f"containers/{name}/json")
        return document

    def runs(self) -> dict[str, tuple[str, int]]:
        """Return running containers: name to id and pid."""
        listed = [self.container(document["Id"]) for document in self.engine.call("GET", "containers/json")]
        by_name = {
            document["Name"].removeprefix("/"): (document["Id"], document["State"]["Pid"]) for document in listed
        }
        return {name: (identity, pid) for name, (identity, pid) in by_name.items() if pid}

    def names(self) -> set[str]:
        """Return the names of all containers."""
        return {
            document["Names"][0].removeprefix("/") for document in self.engine.call("GET", "containers/json?all=true")
        }

    def networks(self) -> set[str]:
        """Return the networks that are not the engine's own."""
        return {document["Name"] for document in self.engine.call("GET", "networks")} - _BUILT_IN

    def volumes(self) -> set[str]:
        """Return the volumes."""
        return {document["Name"] for document in self.engine.call("GET", "volumes")["Volumes"] or ()}

    def conditions(self, key: str) -> tuple[str, str]:
        """Return the status and the reason of an object's Ready condition, from ``status``."""
        ready = self.trimtab.objects().get(key, {}).get("Ready", {})
        return str(ready.get("status")), str(ready.get("reason"))

    def emptied(self) -> None:
        """Remove everything that is in the engine."""
        engines.emptied(self.engine)
