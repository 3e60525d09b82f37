"""Builds of the native engine: what is done again, what is kept, what is refused, and what is left behind."""

import asyncio
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import platform as platforms
import re
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from agent import errors
from agent.dockerfile import builds, evaluate, parse, remotes
from agent.engine import engine
from agent.engine.build import copying
from agent.engine.build import trees as trees_of_builds
from agent.kit import tasks, trees
from tests.builds import cases, instances

pytestmark = pytest.mark.root

FROM = "FROM base:1\n"


@pytest.fixture
async def instance(tmp_path: pathlib.Path) -> AsyncIterator[engine.Engine]:
    async with instances.opened(tmp_path / "instance") as opened:
        yield opened


@pytest.fixture
def context(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    return folder


def everywhere(instance: engine.Engine, text: bytes) -> list[str]:
    """Return the files of an instance, its records and run directory that hold a text."""
    folders = (instance.where.root, instance.where.run)
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if text in path.read_bytes()]


async def test_cache__nothing_has_changed__nothing_is_done_again_and_the_image_is_the_same(instance, context) -> None:
    text = f"{FROM}WORKDIR /w\nCOPY a.txt .\nRUN cat a.txt > b.txt"
    first = await instances.build(instance, text, context)
    image = instance.images.record("localhost/test:1").id
    os.utime(context / "a.txt", (1, 1))  # times do not count
    again = await instances.build(instance, text, context)
    assert first.done == ["WORKDIR /w", "COPY a.txt .", "RUN cat a.txt > b.txt"]
    assert (again.done, instance.images.record("localhost/test:1").id) == ([], image)


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ("content", ["COPY a.txt /a", "RUN cat /a > /b"]),
        ("mode", ["COPY a.txt /a", "RUN cat /a > /b"]),
        ("another file", []),
        ("argument", ["RUN cat /a > /b"]),
    ],
)
async def test_cache__something_has_changed__what_depends_on_it_is_done_again(
    instance, context, change: str, done: list[str]
) -> None:
    text = f"{FROM}RUN echo first > /first\nCOPY a.txt /a\nARG X\nRUN cat /a > /b"
    await instances.build(instance, text, context)
    arguments: tuple[tuple[str, str], ...] = ()
    match change:
        case "content":
            (context / "a.txt").write_text("other")
        case "mode":
            (context / "a.txt").chmod(0o755)
        case "another file":
            (context / "other").write_text("x")
        case "argument":
            arguments = (("X", "1"),)
    told = await instances.build(instance, text, context, build_args=arguments)
    assert told.done == done


async def test_cache__not_used__everything_is_done_again(instance, context) -> None:
    text = f"{FROM}COPY a.txt /a\nRUN cat /a > /b"
    await instances.build(instance, text, context)
    assert (await instances.build(instance, text, context, uses_cache=False)).done == [
        "COPY a.txt /a",
        "RUN cat /a > /b",
    ]


async def test_cache__result_below_is_another__is_not_used_above(instance) -> None:
    text = f"{FROM}RUN cat /proc/sys/kernel/random/uuid > /random\nRUN cp /random /copy"
    await instances.build(instance, text)
    told = await instances.build(instance, text, uses_cache=False)
    assert len(told.done) == 2
    assert (await instances.build(instance, text)).done == []


async def test_cache__image_is_removed__its_steps_stay_for_the_next_build(instance) -> None:
    text = f"{FROM}RUN echo x > /x"
    await instances.build(instance, text)
    await instance.images.remove("localhost/test:1")
    assert (await instances.build(instance, text)).done == []


async def test_cache__is_pruned__nothing_of_it_stays(instance) -> None:
    await instances.build(instance, f"{FROM}RUN echo pruned-content > /x")
    assert any("/snapshots/" in path for path in everywhere(instance, b"pruned-content\n"))
    await instance.collector.prune()
    assert everywhere(instance, b"pruned-content\n") == []


async def test_cache__a_snapshot_was_removed__its_step_is_done_again(instance) -> None:
    text = f"{FROM}RUN echo x > /x\nRUN echo y > /y"
    await instances.build(instance, text)
    (file,) = instance.where.snapshots.glob("*/fs/x")
    trees.remove(file.parents[1])
    assert (await instances.build(instance, text)).done[0] == "RUN echo x > /x"


async def test_equal_builds__at_once__do_each_step_once(instance) -> None:
    text = f"{FROM}RUN sleep 0.3; echo x > /x"
    told = await asyncio.gather(
        *(instances.build(instance, text, name=f"localhost/test:{number}") for number in range(3))
    )
    assert sorted(len(each.done) for each in told) == [0, 0, 1]
    assert len({instance.images.record(f"localhost/test:{number}").id for number in range(3)}) == 1


async def test_independent_stages__run_side_by_side(instance) -> None:
    """Each waits for the other, through a cache that both see: one after the other, they would wait for ever."""
    wait = "i=0; until test -e /c/{other}; do sleep 0.05; i=$((i+1)); test $i -lt 200 || exit 1; done"
    run = "RUN --mount=type=cache,id=meeting,target=/c touch /c/{own}; " + wait + "; echo {own} > /{own}"
    stages = [
        f"{FROM[:-1]} AS {own}\n{run.format(own=own, other=other)}\n" for own, other in (("one", "two"), ("two", "one"))
    ]
    told = await instances.build(
        instance, "".join(stages) + "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /"
    )
    assert len(told.done) == 4


async def test_reproducible__same_moment_given__two_instances_give_the_same_image(tmp_path, context) -> None:
    text = f"{FROM}RUN mkdir /d && echo x > /d/x\nCOPY a.txt /new/\nLABEL a=b"
    images = []
    for number in range(2):
        async with instances.opened(tmp_path / f"instance{number}") as opened:
            await instances.build(opened, text, context, epoch=1_000_000_000)
            images.append(opened.images.record("localhost/test:1").id)
    assert images[0] == images[1]


async def test_failing_step__is_told_with_its_place_its_code_and_its_last_lines(instance) -> None:
    told = instances.Told()
    with pytest.raises(builds.BuildFailed) as failure:
        async with instance.builder.built(instances.request(f"{FROM}RUN true\nRUN echo before \\\n && exit 7"), told):
            pass
    assert (failure.value.position, failure.value.output) == ((3, 1), ("before",))
    assert failure.value.what == "RUN echo before && exit 7 has ended with exit code 7"
    assert told.ends[-1] == ("RUN echo before && exit 7", False, "exit code 7")


async def test_failing_step__what_was_done_before__is_not_done_again(instance) -> None:
    for _ in range(2):
        told = instances.Told()
        with pytest.raises(builds.BuildFailed):
            async with instance.builder.built(instances.request(f"{FROM}RUN echo x > /x\nRUN false"), told):
                pass
    assert told.done == []


async def test_cancelled__leaves_nothing_and_the_next_build_is_right(instance) -> None:
    text = f"{FROM}RUN echo begun > /x; sleep 600"
    async with tasks.Crew() as crew:
        building = crew.promise(instances.build(instance, text), name="a build")
        async with asyncio.timeout(30):
            while not list(instance.where.bundles.glob("build-*/config.json")):  # noqa: ASYNC110 - a file of the step
                await asyncio.sleep(0.02)
    assert building.cancelled()
    assert list(instance.where.bundles.iterdir()) == []
    assert (await instances.build(instance, f"{FROM}RUN echo begun > /x")).done == ["RUN echo begun > /x"]


SECRET = b"a-very-secret-value"


async def test_secret__is_in_no_layer_history_cache_or_record(instance) -> None:
    text = f"{FROM}RUN --mount=type=secret,id=key cat /run/secrets/key > /dev/null && echo read > /read"
    await instances.build(instance, text, secrets={"key": SECRET})
    assert everywhere(instance, SECRET) == []
    assert everywhere(instance, b"read\n") != []


async def test_secret__another_value__does_nothing_again(instance) -> None:
    text = f"{FROM}RUN --mount=type=secret,id=key cat /run/secrets/key > /dev/null"
    await instances.build(instance, text, secrets={"key": SECRET})
    assert (await instances.build(instance, text, secrets={"key": b"other"})).done == []


async def test_run__sees_nothing_of_the_builders_environment(instance, monkeypatch) -> None:
    monkeypatch.setenv("BUILDER_OWN", "leaks")
    told = await instances.build(instance, f"{FROM}RUN env; cat /proc/1/environ")
    assert b"BUILDER_OWN" not in told.output
    assert b"leaks" not in told.output


@pytest.mark.parametrize("flag", ["--security=insecure", "--network=host"])
async def test_run__asks_for_more_than_it_may_have__is_refused(instance, flag: str) -> None:
    with pytest.raises(builds.BuildFailed, match="is not granted to"):
        await instances.build(instance, f"{FROM}RUN {flag} true")


async def test_run__host_network_is_granted__has_it(instance, tmp_path) -> None:
    show = "ls -l /proc/self/ns/net | sed 's/.*-> //' > /net"
    await instances.build(instance, f"{FROM}RUN --network=host {show}", network="host")
    with instances.tree(instance, tmp_path / "tree") as root:
        assert (root / "net").read_text().strip() == str(pathlib.Path("/proc/self/ns/net").readlink())


async def test_run__default_network__has_an_interface_and_goes_with_the_last_build(instance) -> None:
    told = await instances.build(instance, f"{FROM}RUN ls /sys/class/net", network="default")
    assert b"eth0" in told.output
    assert instance.networks.list() == ()


async def test_run__is_confined_as_containers_are(instance) -> None:
    told = await instances.build(instance, f"{FROM}RUN grep -E 'CapEff|Seccomp:' /proc/self/status")
    assert b"CapEff:\t00000000a80425fb" in told.output
    assert b"Seccomp:\t2" in told.output


async def test_cache_mount__whatever_its_id_is__lies_below_the_caches(instance) -> None:
    await instances.build(
        instance, f"{FROM}RUN --mount=type=cache,id=../../../../../../tmp/escape,target=/c echo x > /c/x"
    )
    assert not pathlib.Path("/tmp/escape").exists()
    (cache,) = instance.where.build_caches.iterdir()
    assert (cache / "x").read_text() == "x\n"


async def test_cache_mount__folder_of_it_is_a_link_out__leads_nowhere(instance, tmp_path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("outside")
    link = f"{FROM}RUN --mount=type=cache,id=c,target=/c ln -s {tmp_path}/secret /c/in"
    await instances.build(instance, link)
    with pytest.raises(builds.BuildFailed, match="there is no in in the cache"):
        await instances.build(instance, f"{FROM}RUN --mount=type=cache,id=c,source=in,target=/c cat /c/key")


async def test_bind_mount__of_a_link_that_leads_to_the_hosts_root__leads_nowhere(instance, tmp_path) -> None:
    (tmp_path / "key").write_text("outside")
    text = f"{FROM[:-1]} AS evil\nRUN ln -s / /root-of-host && ln -s {tmp_path} /way\n{FROM}"
    shown = "RUN --mount=from=evil,source=/root-of-host,target=/in ls /in /in/srv"
    told = await instances.build(instance, f"{text}{shown}")
    assert b"full" in told.output
    assert b"boot" not in told.output
    with pytest.raises(builds.BuildFailed):
        await instances.build(instance, f"{text}RUN --mount=from=evil,source=/way,target=/in cat /in/key")


async def test_mount_points__command_puts_a_link_in_their_place__nothing_else_is_removed(instance, tmp_path) -> None:
    victim = tmp_path / "victim"
    (victim / "inner").mkdir(parents=True)
    swap = f"umount /m/inner; mv /m /moved; ln -s {victim} /m; true"
    await instances.build(instance, f"{FROM}RUN --mount=type=tmpfs,target=/m/inner {swap}")
    assert (victim / "inner").is_dir()


async def test_copy__links_of_context_and_image__lead_nowhere_else(instance, context, tmp_path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/key").write_text("secret")
    (context / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(builds.BuildFailed, match="there is no way/key to copy"):
        await instances.build(instance, f"{FROM}COPY way/key /key", context)
    await instances.build(instance, f"{FROM}RUN ln -s {tmp_path}/outside /to\nCOPY a.txt /to/a.txt", context)
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["key"]


async def test_copy__socket_fifo_and_device__are_what_they_are_or_left_out(instance, context, tmp_path) -> None:
    os.mkfifo(context / "fifo")
    os.mknod(context / "null", 0o20666, os.makedev(1, 3))
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(context / "socket"))
        async with asyncio.timeout(60):
            await instances.build(instance, f"{FROM}COPY . /all", context)
    with instances.tree(instance, tmp_path / "tree") as root:
        names = sorted(path.name for path in (root / "all").iterdir())
        assert (names, (root / "all/fifo").is_fifo()) == (["a.txt", "fifo", "null"], True)


async def test_copy__device_that_only_overlayfs_makes__is_refused(instance, context) -> None:
    os.mknod(context / "whiteout", 0o20666, os.makedev(0, 0))
    with pytest.raises(builds.BuildFailed, match="only overlayfs makes"):
        await instances.build(instance, f"{FROM}COPY . /all", context)


async def test_copy__context_is_gone__is_told(instance, tmp_path) -> None:
    with pytest.raises(builds.BuildFailed, match="cannot be opened: No such file"):
        await instances.build(instance, f"{FROM}COPY a /a", tmp_path / "nothing")
    with pytest.raises(builds.BuildFailed, match="no context to take files of"):
        await instances.build(instance, f"{FROM}COPY a /a", None)


async def test_named_contexts__directories_and_images__are_taken(instance, context, tmp_path) -> None:
    text = "FROM other\nCOPY --from=more a.txt /a\nRUN --mount=from=more,target=/in cat /in/a.txt > /b"
    contexts = {"more": builds.Context(context), "other": "base:1"}
    await instances.build(instance, text, None, contexts=contexts)
    with instances.tree(instance, tmp_path / "tree") as root:
        assert ((root / "a").read_text(), (root / "b").read_text()) == ("hello", "hello")


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/files/data.bin"
            self.send_response(200 if found else 404)
            self.send_header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
            self.end_headers()
            self.wfile.write(b"downloaded" if found else b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


async def test_add__url__is_fetched_with_its_time_and_a_private_mode(instance, server, tmp_path) -> None:
    await instances.build(instance, f"{FROM}ADD {server}/files/data.bin /d/\nADD {server}/files/data.bin /named")
    with instances.tree(instance, tmp_path / "tree") as root:
        for path in (root / "d/data.bin", root / "named"):
            status = path.stat()
            assert (path.read_text(), status.st_mode & 0o7777, status.st_mtime) == ("downloaded", 0o600, cases.THEN)


async def test_add__url_with_a_checksum__must_have_it(instance, server) -> None:
    right = hashlib.sha256(b"downloaded").hexdigest()
    await instances.build(instance, f"{FROM}ADD --checksum=sha256:{right} {server}/files/data.bin /d")
    with pytest.raises(builds.BuildFailed, match="has the checksum sha256:"):
        await instances.build(instance, f"{FROM}ADD --checksum=sha256:{'0' * 64} {server}/files/data.bin /d")
    with pytest.raises(builds.BuildFailed, match="is no checksum"):
        await instances.build(instance, f"{FROM}ADD --checksum=md5:0 {server}/files/data.bin /d")


async def test_add__url_that_is_not_there__is_told(instance, server) -> None:
    with pytest.raises(builds.BuildFailed, match="is not there: 404"):
        await instances.build(instance, f"{FROM}ADD {server}/nothing /d")


def _repository(folder: pathlib.Path) -> str:
    folder.mkdir()
    (folder / "sub").mkdir()
    (folder / "sub/file").write_text("of git")
    (folder / "top").write_text("top")
    config = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run(["git", *config, *words], cwd=folder, check=True)
    subprocess.run(["git", "update-server-info"], cwd=folder, check=True)
    return str(folder)


async def test_add__git__is_checked_out_without_its_history(instance, tmp_path, monkeypatch) -> None:
    source = _repository(tmp_path / "repository.git")
    monkeypatch.setattr(remotes, "_GIT", re.compile(r".*\.git(#.*)?"))  # else a path of this disk is none
    lines = (f"ADD {source} /all/", f"ADD {source}#v1:sub /part/", f"ADD --keep-git-dir=true {source} /kept/")
    await instances.build(instance, FROM + "\n".join(lines))
    with instances.tree(instance, tmp_path / "tree") as root:
        assert sorted(path.name for path in (root / "all").iterdir()) == ["sub", "top"]
        assert (root / "part/file").read_text() == "of git"
        assert (root / "kept/.git").is_dir()


async def test_ssh__agents_socket_is_there_for_the_step(instance, tmp_path) -> None:
    path = tmp_path / "agent"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        told = await instances.build(
            instance, f"{FROM}RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK", ssh={"default": path}
        )
    assert told.output == b"/run/buildkit/ssh_agent.0\n"
    with pytest.raises(builds.BuildFailed, match="is required, and the build has none"):
        await instances.build(instance, f"{FROM}RUN --mount=type=ssh,required=true true")


async def test_image__built_from_a_built_one__has_all_of_its_layers_and_history(instance) -> None:
    await instances.build(instance, f"{FROM}RUN echo x > /x\nONBUILD RUN echo y > /y", name="localhost/base:2")
    told = await instances.build(instance, "FROM localhost/base:2\nRUN cat /x /y > /z")
    assert told.done == ["RUN echo y > /y", "RUN cat /x /y > /z"]
    stored = instance.images.runnable("localhost/test:1")
    history = json.loads(instance.builder._deps.content.read(stored.id))["history"]
    assert len([entry for entry in history if not entry.get("empty_layer")]) == len(stored.config.diff_ids) == 4


async def test_bind_mount__file_is_written_to__no_image_and_no_context_is_changed(instance, context) -> None:
    shown = "RUN --mount=type=bind,rw,from=base:1,source=/etc/passwd,target=/z echo evil::0:0:::/bin/sh >> /z && cat /z"
    own = "RUN --mount=type=bind,rw,source=a.txt,target=/y echo more >> /y && cat /y"
    told = await instances.build(instance, f"{FROM}{shown}\n{own}", context)
    assert b"evil" in told.output
    assert b"hellomore" in told.output
    again = await instances.build(instance, f"{FROM}RUN cat /etc/passwd", context, uses_cache=False)
    assert b"evil" not in again.output
    assert (context / "a.txt").read_text() == "hello"


async def test_bind_mount__path_that_overlayfs_would_read_as_more_than_one__is_one(instance, context, tmp_path) -> None:
    (tmp_path / "key").write_text("outside")
    odd = f"/q/a:{tmp_path}"
    text = f"{FROM[:-1]} AS evil\nRUN mkdir -p {odd} /q/a && echo inside > {odd}/key\n{FROM}"
    shown = f"RUN --mount=type=bind,rw,from=evil,source={odd},target=/x cat /x/key; ls /x"
    told = await instances.build(instance, f"{text}{shown}")
    assert told.output == b"inside\nkey\n"
    (context / f"d,lowerdir={tmp_path.name}").mkdir()
    (context / "link").symlink_to(f"d,lowerdir={tmp_path.name}")
    again = await instances.build(instance, f"{FROM}RUN --mount=rw,source=link,target=/x ls /x | wc -l", context)
    assert again.output == b"0\n"


async def test_cache__extended_attribute_is_another__is_done_again(instance, context) -> None:
    text = f"{FROM}COPY a.txt /a"
    os.setxattr(context / "a.txt", "user.note", b"one")
    await instances.build(instance, text, context)
    assert (await instances.build(instance, text, context)).done == []
    os.setxattr(context / "a.txt", "user.note", b"two")
    assert (await instances.build(instance, text, context)).done == ["COPY a.txt /a"]


async def test_names__that_are_no_utf_8__are_copied_and_run(instance, context, tmp_path) -> None:
    name = os.fsdecode(b"n\xff\xfe")
    (context / name).write_text("x")
    text = os.fsdecode(b"RUN echo '\xff' > /y")
    parsed = parse.parse(os.fsencode(f"{FROM}COPY . /all\n{text}"))
    request = builds.Request(parsed.dockerfile, b"", builds.Context(context), labels=((name, name),), network="none")
    async with instance.builder.built(request, instances.Told()) as built:
        await instance.builder.store("localhost/test:1", built, ())
    with instances.tree(instance, tmp_path / "tree") as root:
        assert (root / "all" / name).read_text() == "x"
    assert json.loads(built.config)["config"]["Labels"]["n\ufffd\ufffd"] == "n\ufffd\ufffd"


async def test_base_image__for_another_platform__never_takes_the_name_of_the_one_that_is_there(instance) -> None:
    before = instance.images.record(instances.BASE)
    other = "linux/arm64" if platforms.machine() == "x86_64" else "linux/amd64"
    with pytest.raises(errors.Failure):  # there is no registry to ask
        await instances.build(instance, f"FROM --platform={other} localhost:1/base:1\nCMD x")
    with pytest.raises(errors.Failure):
        await instances.build(instance, f"FROM --platform={other} base:1\nCMD x")
    assert instance.images.record(instances.BASE) == before


async def test_copy__file_is_changed_between_look_and_copy__is_refused_and_not_remembered(instance, context) -> None:
    text = f"{FROM}COPY a.txt /a"
    selected = copying.select

    def select_and_change(
        tree: trees_of_builds.Tree, step: evaluate.CopyStep, sources: Sequence[str]
    ) -> tuple[copying.Selection, ...]:
        selection = selected(tree, step, sources)
        (context / "a.txt").write_text("changed meanwhile")
        return selection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "select", select_and_change)
        with pytest.raises(errors.Unavailable, match="was changed meanwhile"):
            async with instance.builder.built(instances.request(text, context), instances.Told()):
                pass
    assert (await instances.build(instance, text, context)).done == ["COPY a.txt /a"]


async def test_default_network__builds_begin_and_end_at_once__each_has_it(instance) -> None:
    text = f"{FROM}RUN ls /sys/class/net > /net # {{}}"
    for attempt in range(3):
        told = await asyncio.gather(
            *(
                instances.build(instance, text.format(f"{attempt}-{n}"), name=f"localhost/test:{n}", network="default")
                for n in range(3)
            )
        )
        assert [len(each.done) for each in told] == [1, 1, 1]
    assert instance.networks.list() == ()
