"""Builds give what BuildKit gives: tree, whiteouts, configuration and history (``tests/builds/expected``)."""

import gzip
import json
import pathlib

import pytest

from agent import errors
from agent.dockerfile import builds, ignore, parse
from agent.engine import engine
from agent.engine.build import builder
from tests.builds import cases, described, instances

pytestmark = pytest.mark.root


OTHERWISE = {
    "archive-xz": "Docker calls xz to unpack, which the Debian 13 tree lacks, so that it copies the archive",
    "chown-unknown-fails": "BuildKit takes root for an unknown user; ours fails, as the classic builder does",
    "touches-the-top": "BuildKit's layers never hold the top directory; ours does where RUN has changed it",
    "target-by-number": "BuildKit knows targets by name only; ours takes numbers too, as the classic builder does",
    "stage-names-in-capitals": "BuildKit does not find a stage by a name in capitals; ours does",
    "workdir-slashes": "BuildKit 0.13 keeps detours of an absolute path; later releases clean it",
    "instruction-without-arguments-fails": "BuildKit runs an empty command; ours says that one is missing",
    "exclude-is-labs": "BuildKit 0.13 has --exclude in its labs channel only; later releases have it",
}
"""Cases in which ours is meant to be another way, and why."""


def request(case: cases.Case, context: pathlib.Path) -> builds.Request:
    """Return a case as it is asked for."""
    parsed = parse.parse(case.dockerfile)
    assert parsed.mistakes == ()
    ignored = context / ".dockerignore"
    epoch = next(iter(case.values("epoch")), None)
    return builds.Request(
        dockerfile=parsed.dockerfile,
        source=case.dockerfile,
        context=builds.Context(context, ignore.parse(ignored.read_bytes()) if ignored.exists() else ignore.Ignore()),
        target=next(iter(case.values("target")), ""),
        build_args=case.pairs("arg"),
        labels=case.pairs("label"),
        secrets={name: value.encode() for name, value in case.pairs("secret")},
        network=next(iter(case.values("network")), "none"),
        epoch=None if epoch is None else int(epoch),
    )


async def result(build: builder.Builder, instance: engine.Engine, case: cases.Case, folder: pathlib.Path) -> object:
    """Build a case, and return what is compared."""
    if mistakes := parse.parse(case.dockerfile).mistakes:
        return {"fails": str(mistakes[0])}
    base = instance.images.runnable(instances.BASE)
    with described.mounted(base.lower_dirs, folder / "base") as root:
        before = described.tree(root)
    try:
        async with build.built(request(case, case.write(folder / "context")), lambda _: None) as built:
            stored = await build.store("localhost/case:latest", built, ())
            packed = [instance.recovery.images._content.path(layer.blob.digest).read_bytes() for layer in built.layers]
            layers = [gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob for blob in packed]
    except errors.Failure as error:
        return {"fails": str(error)}
    with described.mounted(stored.lower_dirs, folder / "image") as root:
        tree = described.tree(root)
    return {
        "tree": described.changes(before, tree),
        "whiteouts": described.whiteouts(layers),
        "configuration": described.configuration(built.config),
    }


def differences(own: object, expected: object, path: str = "") -> list[str]:
    """Return what differs, a line each."""
    if isinstance(own, dict) and isinstance(expected, dict):
        names = sorted({*own, *expected})
        return [
            line
            for name in names
            for line in (
                differences(own[name], expected[name], f"{path}/{name}")
                if name in own and name in expected
                else [f"{path}/{name}: {own.get(name, 'missing')!r} and not {expected.get(name, 'missing')!r}"]
            )
        ]
    if isinstance(own, list) and isinstance(expected, list) and len(own) == len(expected):
        return [
            line for n, pair in enumerate(zip(own, expected, strict=True)) for line in differences(*pair, f"{path}/{n}")
        ]
    return [] if own == expected else [f"{path}: {own!r} and not {expected!r}"]


@pytest.mark.parametrize("group", [path.stem for path in cases.groups()])
async def test_build__case__is_as_buildkit_has_it(tmp_path: pathlib.Path, group: str) -> None:
    expected = json.loads((cases.EXPECTED / f"{group}.json").read_text())
    wrong: dict[str, list[str]] = {}
    async with instances.opened(tmp_path) as instance:
        for case in cases.load(cases.FOLDER / f"{group}.txt"):
            folder = tmp_path / case.name
            folder.mkdir()
            own = await result(instance.builder, instance, case, folder)
            fails = "fails" in own and "fails" in expected[case.name]
            lines = [] if fails else differences(own, expected[case.name])
            if case.name in OTHERWISE:
                lines = [] if lines else ["it is as BuildKit has it by now: it is no exception any more"]
            if lines:
                wrong[case.name] = lines
    assert wrong == {}, "\n".join(f"{name}: {line}" for name, lines in wrong.items() for line in lines)
