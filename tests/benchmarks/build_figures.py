"""Builds by the engine, beside Docker's: BuildKit (26.1) and the classic builder (20.10), in turns.

Ours are measured in a process that has the engine open, as an agent has it; Docker's by ``docker build``, since only
its client knows how to ask for one.
"""

import asyncio
import functools
import pathlib
import time
import urllib.request
from collections.abc import Iterator, Sequence

from agent.dockerfile import builds, parse
from agent.engine import engine, layout
from tests import hostports
from tests.benchmarks import docker_engine, figures, images, trimtab_agent

FILES = 10_000
STEPS = f"""
FROM {images.NAME}
RUN echo 1 > /one
RUN echo 2 > /two
COPY file /file
ENV A=1
RUN echo 3 > /three
WORKDIR /work
ENV B=2
RUN echo 4 > /four
RUN cat /one /two /three /four /file > /all
CMD ["cat", "/all"]
"""
MANY = f"""
FROM {images.NAME}
COPY many /many
RUN ls /many > /list
"""
PAGE = f"FROM {images.NAME}\nCOPY file /www/file\n"
SITE = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: site}}
spec: {{build: {{context: {app}}}}}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: web}}
spec:
  image: {{name: site}}
  command: [/bin/httpd, -f, -p, "80", -h, /www]
  ports: ["127.0.0.1:{port}:80"]
  stop: {{gracePeriod: 0s}}
"""
_WORK = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; sleep 0.5"
STAGES = "".join(f"FROM {images.NAME} AS s{number}\nRUN {_WORK}; echo {number} > /{number}\n" for number in range(4))
STAGES += f"FROM {images.NAME}\n" + "".join(f"COPY --from=s{number} /{number} /\n" for number in range(4))
ONE_STAGE = f"FROM {images.NAME}\nRUN {_WORK}; echo 0 > /0\n"


def measure(work: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Measure every kind of build, of each side in turns."""
    contexts = {"steps": _context(work / "steps", STEPS), "many": _many(work / "many")}
    contexts |= {"stages": _context(work / "stages", STAGES), "stage": _context(work / "stage", ONE_STAGE)}
    watched = figures.Series("changed file in a watched context -> its container answers", "ms", "500 ms")
    for seconds in _followed(work, rounds):
        watched.add(seconds * 1000)
    with docker_engine.both(work / "docker") as rivals:
        return [*asyncio.run(_measured(work, contexts, rivals, rounds)), watched.figure()]


def _followed(work: pathlib.Path, rounds: int) -> Iterator[float]:
    """Yield the seconds from a change of a file of an image's context until a new container serves it."""
    home = work / "watched"
    home.mkdir()
    app = _context(home / "app", PAGE)
    port = hostports.free_port()
    with trimtab_agent.Side(home).turn() as agent:
        agent.drop("site.yaml", SITE.format(app=app, port=port))
        for number in range(rounds + 1):
            begun = time.perf_counter()
            (app / "file").write_text(f"{number}")
            trimtab_agent.wait(functools.partial(_serves, port, f"{number}"), "the new page")
            if number:  # the first one is made, and not replaced
                yield time.perf_counter() - begun
            time.sleep(1.0)  # it is at rest again, as it is between two changes of a person


def _serves(port: int, page: str) -> bool:
    """Return whether a page is served; a connection that goes to the container of before is given up soon."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=0.1) as answer:
            return bool(answer.read().decode() == page)
    except OSError:
        return False


async def _measured(
    work: pathlib.Path,
    contexts: dict[str, pathlib.Path],
    rivals: dict[str, docker_engine.Docker],
    rounds: int,
) -> list[figures.Figure]:
    cold = figures.Series("10 steps, nothing cached", "s", "0.45 s")
    cached = figures.Series("10 steps, everything cached", "ms", "20 ms")
    changed = figures.Series(f"{FILES} files, one changed: COPY, RUN", "s", "0.5 s")
    overlap = figures.Series("four independent stages, of four times one", "", "< 0.6")
    async with engine.opened(layout.of(work / "root", work / "run"), engine.Options(), lambda _: None) as instance:
        await instance.images.load(images.oci_archive(work), images.NAME, (), lambda _: None)
        for number in range(rounds):
            cold.add(await _ours(instance, contexts["steps"], uses_cache=False))
            cached.add(await _ours(instance, contexts["steps"]) * 1000)
            (contexts["many"] / "many" / "d0" / "f0").write_text(f"changed {number}")
            changed.add(await _ours(instance, contexts["many"]))
            one = await _ours(instance, contexts["stage"], uses_cache=False)
            overlap.add(await _ours(instance, contexts["stages"], uses_cache=False) / (4 * one))
            for name, docker in rivals.items():
                cold.add(_theirs(docker, contexts["steps"], "--no-cache"), name)
                cached.add(_theirs(docker, contexts["steps"]) * 1000, name)
                changed.add(_theirs(docker, contexts["many"]), name)
                one = _theirs(docker, contexts["stage"], "--no-cache")
                overlap.add(_theirs(docker, contexts["stages"], "--no-cache") / (4 * one), name)
    return [series.figure() for series in (cold, cached, changed, overlap)]


async def _ours(instance: engine.Engine, context: pathlib.Path, *, uses_cache: bool = True) -> float:
    text = (context / "Dockerfile").read_bytes()
    begun = time.perf_counter()
    request = builds.Request(parse.parse(text).dockerfile, text, builds.Context(context), uses_cache=uses_cache)
    async with instance.builder.built(request, lambda _: None) as built:
        await instance.builder.store("localhost/built:latest", built, ())
    return time.perf_counter() - begun


def _theirs(docker: docker_engine.Docker, context: pathlib.Path, *options: str) -> float:
    words: Sequence[str] = ("build", "--quiet", *options, "--tag", "built:latest", str(context))
    begun = time.perf_counter()
    docker.client(*words)
    return time.perf_counter() - begun


def _context(folder: pathlib.Path, text: str) -> pathlib.Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text(text)
    (folder / "file").write_text("content\n")
    return folder


def _many(folder: pathlib.Path) -> pathlib.Path:
    """Make a context of many small files, a hundred in each folder."""
    _context(folder, MANY)
    for number in range(FILES):
        path = folder / "many" / f"d{number // 100}" / f"f{number % 100}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    return folder
