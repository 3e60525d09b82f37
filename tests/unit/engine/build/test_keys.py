"""Keys of the build cache: another one for whatever the result depends on, the same for all else."""

import dataclasses

from agent.dockerfile import evaluate, instructions, lines
from agent.engine.build import keys

HERE = instructions.Origin((1, 1), 1, "RUN x")
THERE = instructions.Origin((9, 9), 9, "RUN  x  # elsewhere")
RUN = evaluate.RunStep(HERE, ("/bin/sh", "-c", "x"), (("A", "1"),), "/", "", (), "default", "sandbox")
COPY = evaluate.CopyStep(HERE, instructions.Sources(("a",), (), "/b"), "", is_add=False)
FOLDER = evaluate.DirectoryStep(HERE, "/w", "")


def of_run(
    step: evaluate.RunStep = RUN, below: str = "sha256:x", inputs: tuple[str, ...] = (), network: str = "none"
) -> str:
    return keys.of_run(below, step, inputs, network)


def of_copy(step: evaluate.CopyStep = COPY, below: str = "sha256:x", inputs: object = ("a", "digest")) -> str:
    return keys.of_copy(below, step, [inputs], (None, None, None))


def test_of_run__where_it_stands__does_not_count() -> None:
    assert of_run() == of_run(dataclasses.replace(RUN, origin=THERE))


def test_of_run__anything_that_the_command_sees__counts() -> None:
    mount = instructions.Mount(instructions.MountType.CACHE, "/c")
    others = [
        of_run(below="sha256:y"),
        of_run(dataclasses.replace(RUN, words=("/bin/sh", "-c", "y"))),
        of_run(dataclasses.replace(RUN, env=(("A", "2"),))),
        of_run(dataclasses.replace(RUN, directory="/w")),
        of_run(dataclasses.replace(RUN, user="u")),
        of_run(dataclasses.replace(RUN, mounts=(mount,))),
        of_run(dataclasses.replace(RUN, script=evaluate.Script("/dev/pipes/EOF", "x"))),
        of_run(inputs=("digest",)),
        of_run(network="default"),
    ]
    assert len({of_run(), *others}) == len(others) + 1


def test_of_copy__what_is_copied_and_where_to__counts() -> None:
    sources = COPY.sources
    document = lines.HereDocument("EOF", "content", expands=True, strips_tabs=False)
    others = [
        of_copy(below="sha256:y"),
        of_copy(inputs=("a", "other")),
        of_copy(dataclasses.replace(COPY, sources=dataclasses.replace(sources, target="/c"))),
        of_copy(dataclasses.replace(COPY, sources=dataclasses.replace(sources, is_linked=True))),
        of_copy(dataclasses.replace(COPY, sources=dataclasses.replace(sources, documents=(document,)))),
        of_copy(dataclasses.replace(COPY, is_add=True)),
        of_copy(dataclasses.replace(COPY, keeps_parents=True)),
        keys.of_copy("sha256:x", COPY, [("a", "digest")], (5, None, None)),
    ]
    assert len({of_copy(), *others}) == len(others) + 1
    assert of_copy() == of_copy(dataclasses.replace(COPY, sources=dataclasses.replace(sources, paths=("other-name",))))


def test_kinds_of_steps__are_never_taken_for_each_other() -> None:
    assert len({of_run(), of_copy(), keys.of_folder("sha256:x", FOLDER)}) == 3
    assert keys.of_folder("sha256:x", FOLDER) != keys.of_folder("sha256:x", dataclasses.replace(FOLDER, user="u"))
