"""Makes the golden data of a release: ``python -m tests.compat.make_golden COMMIT``, as root, in a clean checkout.

It keeps the code of the commit, runs that over the native engine and over Docker, and packs what it leaves behind. What
it said of its state by then is kept beside it, for the tests to compare with.
"""

import contextlib
import io
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from typing import Any

from tests import archives, engines, instances, registry
from tests.compat import golden, manifests
from tests.e2e import command

_COMPILE = ("-Os", "-static", "-nostdlib", "-fno-stack-protector", "-fno-asynchronous-unwind-tables")
_LINK = ("-Wl,--build-id=none", "-Wl,-z,norelro", "-s")


def main(commit: str) -> None:
    """Make it all."""
    release = instances.REPOSITORY / "tests" / "compat" / "golden" / commit
    release.mkdir(parents=True, exist_ok=True)
    _pack_code(commit, release / "agent.tar.xz")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        image = _image(work)
        (release / "tiny.tar").write_bytes(image)
        code = golden.code(commit, work / "code")
        with golden.home_of_golden_state(image) as home:
            _native(command.Trimtab(home, golden.environment(home, "native"), code), work, release)
        with golden.home_of_golden_state(image) as home, engines.running("docker", work / "docker") as engine:
            surroundings = golden.environment(home, "docker") | engine.environment
            with engines.entered(engine):
                _docker(command.Trimtab(home, surroundings, code), release)


def _pack_code(commit: str, target: pathlib.Path) -> None:
    """Keep the agent's source as the commit has it."""
    command_line = ["git", "archive", "--format=tar", commit, "agent"]
    packed = subprocess.run(command_line, cwd=instances.REPOSITORY, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as source, tarfile.open(target, "w:xz", preset=9) as archive:
        for member in source:
            archive.addfile(member, source.extractfile(member) if member.isfile() else None)


def _image(work: pathlib.Path) -> bytes:
    """Compile the program, and return an OCI archive with nothing else in it."""
    assert platform.machine() == "x86_64", "golden images are of that machine"
    program = work / "tiny"
    source = pathlib.Path(__file__).with_name("tiny.c")
    subprocess.run(["gcc", *_COMPILE, *_LINK, "-o", program, source], check=True)
    layer = archives.tar(archives.file("tiny", program.read_bytes(), mode=0o755), archives.folder("data"))
    return archives.image(layer, kind="gzip").archive()


def _native(trimtab: command.Trimtab, work: pathlib.Path, release: pathlib.Path) -> None:
    """Let the release run everything natively, end it, and pack its root."""
    try:
        with _registry(work):
            _work(trimtab)
        _save(trimtab, release / "native.json")
    finally:
        trimtab.instance.reboot()
    golden.pack(trimtab.home, release / "native.tar.gz")


def _docker(trimtab: command.Trimtab, release: pathlib.Path) -> None:
    """The same over Docker, whose own objects are not kept: only what is noted beside it."""
    text = manifests.text(earlier=False).replace("{name: pulled}, command", "{name: tiny}, command")
    documents = [document for document in text.split(manifests.HEAD) if document and "name: pulled}" not in document]
    trimtab.instance.declare(manifests.HEAD + manifests.HEAD.join(documents))
    with trimtab.running(trimtab.instance.source) as agent:
        agent.says('"port"')
        _is_settled(agent)
    _save(trimtab, release / "docker.json")
    notes = json.loads((trimtab.home / "root" / "docker.json").read_text())
    kept = json.loads((release / "docker.json").read_text()) | {"notes": notes}
    (release / "docker.json").write_text(json.dumps(kept, indent=1))
    golden.pack(trimtab.home, release / "docker.tar.gz")


@contextlib.contextmanager
def _registry(work: pathlib.Path) -> Iterator[None]:
    with registry.running(work / "registry", golden.REGISTRY_PORT) as address:
        registry.push(golden.ARCHIVE, f"{address}/golden/tiny:1")
        yield


def _work(trimtab: command.Trimtab) -> None:
    """Apply two revisions, with failures and restarts between."""
    trimtab.instance.declare(manifests.text(earlier=True))
    with trimtab.running(trimtab.instance.source) as agent:
        agent.says('"port"')
        _is_settled(agent)
        agent.runs("old")
        (web,) = (
            container for container in trimtab.output("observe")["observed"]["containers"] if container["name"] == "web"
        )
        os.kill(web["pid"], signal.SIGKILL)
        agent.assert_shows('trimtab_container_restarts_total{name="web",reason="exit"}', 1.0)
        _is_settled(agent)
        trimtab.instance.declare(manifests.text(earlier=False))
        agent.assert_shows('trimtab_container_state{name="old",state="running"}', None)
        _is_settled(agent)


def _is_settled(agent: command.Agent) -> None:
    for name in ("web", "worker", "layer"):
        agent.assert_shows(
            f'trimtab_object_condition{{kind="Container",name="{name}",status="True",type="Ready"}}', 1.0
        )
    command.assert_eventually(lambda: (agent.metric(_CRASHES) or 0) >= 3, "it has crashed some times")
    agent.assert_shows('trimtab_object_ready_reason{kind="Container",name="job",reason="Completed"}', 1.0)


_CRASHES = 'trimtab_container_restarts_total{name="crashing",reason="exit"}'


def _save(trimtab: command.Trimtab, target: pathlib.Path) -> None:
    """Keep what the release says of its state."""
    golden_state: dict[str, Any] = {
        "observe": trimtab.output("observe"),
        "status": trimtab.output("status"),
        "journal": golden.journal(trimtab.home),
    }
    target.write_text(json.dumps(golden_state, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
