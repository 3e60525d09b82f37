"""Build every case with BuildKit (Docker 26.1 of the Debian 13 tree), and keep what comes of it: ``expected/``.

python -m tests.builds.expect [GROUP...]
"""

import asyncio
import json
import pathlib
import re
import sys
import tarfile
import tempfile

from tests import archives, engines
from tests.benchmarks import docker_engine
from tests.builds import cases, described


def main() -> None:
    """Build all groups, or those that are named."""
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="trimtab-builds-") as scratch:
        work = pathlib.Path(scratch)
        with docker_engine.running(work / "docker", engines.DEBIAN_13) as docker:
            archive = described.base_archive(work / "base.tar")
            docker.client("load", "-i", str(archive))
            base = asyncio.run(_tree(archive, work / "base"))
            for group in cases.groups():
                if not wanted or group.stem in wanted:
                    results = {case.name: _result(docker, group.stem, case, work, base) for case in cases.load(group)}
                    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False)
                    (cases.EXPECTED / f"{group.stem}.json").write_text(f"{text}\n")
                    sys.stdout.write(f"{group.stem}: {len(results)}\n")


def _result(
    docker: docker_engine.Docker, group: str, case: cases.Case, work: pathlib.Path, base: dict[str, str]
) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        folder = pathlib.Path(scratch)
        # it takes a file of the same path, size and time for the same, below a folder of the same name
        context = case.write(folder / f"{group}-{case.name}")
        words = ["build", "--no-cache", "--tag", "case:1", *_options(case, folder), str(context)]
        try:
            docker.client(*words)
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1]
            return {"fails": re.sub(r"/\S+/merged", "", last)}
        docker.client("save", "-o", str(folder / "image.tar"), "case:1")
        docker.client("rmi", "case:1")
        return asyncio.run(_described(folder, base))


def _options(case: cases.Case, folder: pathlib.Path) -> list[str]:
    words: list[str] = []
    for name, flag in (("target", "--target"), ("arg", "--build-arg"), ("label", "--label"), ("network", "--network")):
        for value in case.values(name):
            words += [flag, value]
    for name, value in case.pairs("secret"):
        (folder / f"secret-{name}").write_text(value)
        words += ["--secret", f"id={name},src={folder / f'secret-{name}'}"]
    for epoch in case.values("epoch"):
        words += ["--build-arg", f"SOURCE_DATE_EPOCH={epoch}"]
    return words


async def _described(folder: pathlib.Path, base: dict[str, str]) -> dict[str, object]:
    with tarfile.open(folder / "image.tar") as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = archive.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        layers = [archive.extractfile(name).read() for name in manifest["Layers"]]  # type: ignore[union-attr]
    tree = await _tree(folder / "image.tar", folder)
    return {
        "tree": described.changes(base, tree),
        "whiteouts": described.whiteouts(layers),
        "configuration": described.configuration(config),
    }


async def _tree(archive: pathlib.Path, folder: pathlib.Path) -> dict[str, str]:
    """Return the tree of an image, unpacked by our own store below a folder."""
    async with archives.opened(folder / "store") as store:
        image = await store.load(archive, "localhost/case:latest")
        with described.mounted(image.lower_dirs, folder / "root") as root:
            return described.tree(root)


if __name__ == "__main__":
    main()
