"""Images that are built from a Dockerfile, as a manifest declares them: the same over every runtime that builds."""

import dataclasses
import os
import pathlib

import pytest

from agent import errors
from agent.model import hostaccess, image
from agent.model.features import Feature
from agent.reasons import Reason
from agent.runtime import streams
from tests import builders
from tests.conformance import conftest

SITE = "localhost/site:latest"
DOCKERFILE = f"""FROM {conftest.REFERENCE}
ARG GREETING=hello
LABEL kind=site
COPY . /site/
RUN echo "$GREETING" > /greeting
"""


@pytest.fixture
def context(harness: conftest.Harness, tmp_path: pathlib.Path) -> pathlib.Path:
    """A context whose secrets are left out of it; there is none where nothing is built."""
    if Feature.BUILDS in dict(harness.runtime.features.unsupported):
        pytest.skip("it builds no images")
    top = tmp_path / "context"
    (top / "src").mkdir(parents=True)
    (top / "Dockerfile").write_text(DOCKERFILE)
    (top / ".dockerignore").write_text("secret\n")
    (top / "secret").write_text("hunter2")
    (top / "src" / "run").write_text("#!/bin/sh\n")
    (top / "src" / "run").chmod(0o750)
    (top / "src" / "link").symlink_to("run")
    os.chown(top / "src" / "run", 1000, 1000)
    return top


def config(top: pathlib.Path, stamp: str = "1", **fields: object) -> image.ImageConfig:
    source = image.BuildSource(str(top), str(top / "Dockerfile"), stamp)
    return image.ImageConfig("site", SITE, dataclasses.replace(source, **fields))


async def built(harness: conftest.Harness, wanted_config: image.ImageConfig) -> image.ObservedImage:
    return await harness.runtime.images.ensure(wanted_config, builders.labels_for(wanted_config), lambda _: None)


async def printed(harness: conftest.Harness, *command: str) -> str:
    """Return what a command prints in a container of the image; the container is removed."""
    identity = await harness.running(dataclasses.replace(harness.config(), image=SITE))
    output: list[bytes] = []
    async with harness.runtime.containers.exec(identity, streams.ExecRequest(command)) as session:
        output += [data async for _, data in session.output()]
    await harness.runtime.containers.remove(identity)
    return b"".join(output).decode()


async def test_ensure__from_a_dockerfile__is_what_it_says_and_ours(harness, context) -> None:
    declared = config(context, args=(("GREETING", "hi"),), labels=(("more", "1"),))
    steps: list[str] = []
    observed = await harness.runtime.images.ensure(
        declared, builders.labels_for(declared), lambda progress: steps.append(progress.message)
    )
    assert steps
    assert (observed.reference, observed.labels) == (SITE, builders.labels_for(declared))
    assert observed in await harness.runtime.images.list()
    shown = await printed(harness, "sh", "-c", "cat /greeting; cd /site; find . | sort; stat -c '%u %a' src/run")
    lines = shown.split()
    assert lines[0] == "hi"
    assert lines[-2:] == ["0", "750"]
    assert {"./src/link", "./src/run", "./Dockerfile"} <= set(lines)
    assert not {"./secret", "hunter2"} & set(lines)
    assert [line for line in lines if line.startswith("./.")] == ["./.dockerignore"]


async def test_ensure__files_have_changed__gives_another_image_and_equal_ones_the_same(harness, context) -> None:
    first = await built(harness, config(context))
    again = await built(harness, config(context, "2"))
    assert again.id == first.id or harness.name == "podman"  # whose builder begins anew over its API
    (context / "src" / "run").write_text("#!/bin/sh\necho 2\n")
    assert (await built(harness, config(context, "3"))).id != first.id
    assert await printed(harness, "cat", "/site/src/run") == "#!/bin/sh\necho 2\n"
    if harness.engine is not None:
        every = harness.engine.call("GET", "images/json?all=true")
        assert sorted(tag for each in every for tag in each["RepoTags"] or ["-"]) == [conftest.REFERENCE, SITE]


async def test_ensure__build_fails__says_where_and_the_image_of_before_stays(harness, context) -> None:
    first = await built(harness, config(context))
    (context / "Dockerfile").write_text(DOCKERFILE + "RUN echo out of luck; exit 7\n")
    with pytest.raises(errors.InvalidArgument, match="exit 7") as caught:
        await built(harness, config(context, "2"))
    assert caught.value.reason is Reason.BUILD_FAILED
    if harness.engine is None:
        place, _, rest = caught.value.message.partition(": ")
        assert (place, rest.endswith("it printed last: out of luck")) == (f"{context / 'Dockerfile'}:6", True)
    (kept,) = [observed for observed in await harness.runtime.images.list() if observed.reference == SITE]
    assert (kept.id, kept.labels) == (first.id, first.labels)


@pytest.mark.parametrize("what", ["context", "Dockerfile"])
async def test_ensure__files_are_missing__not_found(harness, context, what: str) -> None:
    missing = config(context, context=str(context / "gone")) if what == "context" else config(context)
    if what == "Dockerfile":
        (context / "Dockerfile").unlink()
    with pytest.raises(errors.NotFound) as caught:
        await built(harness, missing)
    assert caught.value.reason is Reason.CONTENT_MISSING


async def test_ensure__files_that_nobody_can_look_at__are_refused(harness, context) -> None:
    with pytest.raises(errors.InvalidArgument, match="context has more than 5 files"):
        await built(harness, config(context, problem="has more than 5 files"))


async def test_ensure__mistake_in_the_dockerfile__is_told_with_its_line(harness, context) -> None:
    (context / "Dockerfile").write_text(f"FROM {conftest.REFERENCE}\nRUM true\n")
    with pytest.raises(errors.InvalidArgument, match="Dockerfile:2: RUM is no instruction") as caught:
        await built(harness, config(context))
    assert "RUN" in caught.value.hint


async def test_ensure__text_in_the_manifest_and_a_stage__are_built(harness, context) -> None:
    text = f"FROM {conftest.REFERENCE} AS one\nRUN echo 1 > /n\nFROM one AS two\nRUN exit 1\n"
    await built(harness, config(context, dockerfile=str(context / "none"), inline=text, target="one"))
    assert await printed(harness, "cat", "/n") == "1\n"


async def test_ensure__dockerfile_that_is_left_out_of_its_context__is_built(harness, context) -> None:
    (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\nsecret\n")
    await built(harness, config(context))
    shown = set((await printed(harness, "sh", "-c", "find /site")).split())
    assert "/site/src/run" in shown
    assert not {"/site/Dockerfile", "/site/secret"} & shown


def _restricted(harness: conftest.Harness, access: hostaccess.HostAccess) -> conftest.Harness:
    images = dataclasses.replace(harness.runtime.images, access=access)
    return dataclasses.replace(harness, runtime=dataclasses.replace(harness.runtime, images=images))


async def test_ensure__link_out_of_the_source__is_not_admitted(harness, context, tmp_path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "app").symlink_to(context)
    restricted = _restricted(harness, hostaccess.HostAccess((str(tmp_path / "source"),)))
    with pytest.raises(errors.InvalidArgument, match="is not admitted for this source") as caught:
        await built(restricted, config(tmp_path / "source" / "app"))
    assert caught.value.reason is Reason.BUILD_NOT_ADMITTED


async def test_ensure__what_is_left_out_is_said_by_a_link_out_of_the_source__is_not_admitted(
    harness, context, tmp_path
) -> None:
    (tmp_path / "secret").write_text("hunter2")
    (context / ".dockerignore").unlink()
    (context / ".dockerignore").symlink_to(tmp_path / "secret")
    restricted = _restricted(harness, hostaccess.HostAccess((str(context),)))
    with pytest.raises(errors.InvalidArgument, match=r"leads to .*/secret is not admitted") as caught:
        await built(restricted, config(context))
    assert caught.value.reason is Reason.BUILD_NOT_ADMITTED


async def test_ensure__a_file_beside_the_dockerfile_says_what_is_left_out__counts_alone(harness, context) -> None:
    (context / "Dockerfile.dockerignore").write_text("src/link\n")
    await built(harness, config(context))
    shown = set((await printed(harness, "sh", "-c", "find /site")).split())
    assert {"/site/secret", "/site/src/run"} <= shown
    assert "/site/src/link" not in shown


async def test_ensure__image_of_an_archive_where_registries_are_limited__may_be_begun_with(harness, context) -> None:
    if harness.engine is not None:
        pytest.skip("engines build for no source that is limited")
    restricted = _restricted(harness, hostaccess.HostAccess(registries=("registry.example",)))
    await built(restricted, config(context))
    (context / "Dockerfile").write_text("FROM localhost/never-loaded\n")
    with pytest.raises(errors.NotFound, match="may not be pulled"):
        await built(restricted, config(context, "2"))


@pytest.mark.parametrize(
    ("line", "access"),
    [
        ("FROM elsewhere.example/app:1", hostaccess.HostAccess(registries=("localhost",))),
        (
            f"FROM {conftest.REFERENCE}\nCOPY --from=elsewhere.example/app:1 / /",
            hostaccess.HostAccess(registries=("localhost",)),
        ),
        (f"FROM {conftest.REFERENCE}\nADD http://127.0.0.1:1/x /", hostaccess.HostAccess(fetches=False)),
    ],
)
async def test_ensure__what_the_source_may_not__is_refused(harness, context, line: str, access) -> None:
    (context / "Dockerfile").write_text(line)
    with pytest.raises(errors.InvalidArgument) as caught:
        await built(_restricted(harness, access), config(context))
    assert caught.value.reason is Reason.BUILD_NOT_ADMITTED
