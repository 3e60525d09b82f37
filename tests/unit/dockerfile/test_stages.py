"""Stages: what each begins with and needs, and mistakes that show where they are followed."""

import pytest

from agent.dockerfile import mistake, parse, soundness, stages

FILE = """
ARG V=1 W=$V
FROM a:$W AS one
FROM one AS Two
COPY --from=0 x y
FROM scratch AS three
COPY --from=two x y
RUN --mount=type=bind,from=one,target=/o --mount=type=cache,target=/c z
FROM b
COPY --from=registry/c:1 x y
COPY --from=three x y
FROM --platform=$P d AS apart
"""


def graph(text: str = FILE, **build_args: str) -> stages.Graph:
    dockerfile = parse.parse(text.encode()).dockerfile
    return stages.graph(dockerfile, stages.global_arguments(dockerfile, build_args, {"P": "linux/arm64"}))


def test_graph__bases_and_sources__are_stages_images_or_nothing() -> None:
    nodes = graph().nodes
    assert [node.base for node in nodes] == [
        stages.Base(image="a:1"),
        stages.Base(stage=0),
        stages.Base(),
        stages.Base(image="b"),
        stages.Base(image="d"),
    ]
    assert dict(nodes[1].sources) == {"0": stages.Base(stage=0)}
    assert dict(nodes[2].sources) == {"two": stages.Base(stage=1), "one": stages.Base(stage=0)}
    assert dict(nodes[3].sources) == {"registry/c:1": stages.Base(image="registry/c:1"), "three": stages.Base(stage=2)}
    assert nodes[4].platform == "linux/arm64"


@pytest.mark.parametrize(
    ("target", "needed"), [("", [4]), ("one", [0]), ("TWO", [0, 1]), ("three", [0, 1, 2]), ("3", [0, 1, 2, 3])]
)
def test_needed__target__has_no_stage_that_it_does_not_need(target: str, needed: list[int]) -> None:
    whole = graph()
    assert [node.number for node in whole.needed(whole.target(target))] == needed


def test_target__unknown__is_refused_with_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"did you mean three\?"):
        graph().target("thre")
    with pytest.raises(KeyError, match="known are"):
        graph().target("7")


def test_graph__same_name_twice__is_the_last_one_so_far() -> None:
    nodes = graph("FROM a AS x\nFROM b AS x\nFROM x\nCOPY --from=x c d").nodes
    assert nodes[2].base == stages.Base(stage=1)
    assert dict(nodes[2].sources) == {"x": stages.Base(stage=1)}


def test_graph__build_arguments__win() -> None:
    assert graph(V="2").nodes[0].base.image == "a:2"
    assert graph(W="3").nodes[0].base.image == "a:3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM $V", "1:1: with the ARGs as they are, $V is empty"),
        ("FROM --platform=$V a", "1:1: with the ARGs as they are, $V is empty"),
        ("FROM ${V", "1:1: there is no } that closes ${"),
        ("ARG A=${V:?no}\nFROM a", "1:1: V: no"),
    ],
)
def test_graph__what_cannot_be__is_told(text: str, expected: str) -> None:
    with pytest.raises(mistake.Mistake) as error:
        graph(text)
    assert str(error.value).partition(" (")[0] == expected
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nCOPY --from=$V b c", "2:1: $V cannot have variables"),
        ("FROM a\nCOPY --from=0 b c", "2:1: there is no earlier stage 0"),
        ("FROM a\nRUN --mount=target=/x,from=1 b", "2:1: there is no earlier stage 1"),
    ],
)
def test_graph__sources_that_cannot_be__are_a_mistake_of_their_stage(text: str, expected: str) -> None:
    wrong = graph(text).nodes[0].mistake
    assert wrong is not None
    assert str(wrong).partition(" (")[0] == expected
    assert wrong.hint


def test_graph__sources_that_can_be__are_none() -> None:
    assert [node.mistake for node in graph("FROM a AS x\nFROM b\nCOPY --from=x c d").nodes] == [None, None]


def test_inherit__arguments_of_a_stage__are_known_behind_it() -> None:
    lines = "FROM scratch AS x\nARG A=1\nFROM x\nENV B=${A:?must be known}"
    assert soundness.mistakes(parse.parse(lines.encode())) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARG V\nFROM $V\nRUN a", []),
        ("FROM a\nENV A=${B:?x}\nEXPOSE $C\nUSER $D", []),
        ("FROM scratch\nENV A=${B:?x}", ["2:1: B: x"]),
        ("FROM scratch AS x\nENV B=1\nFROM x\nENV A=${B:?x} C=${D:?y}", ["4:1: D: y"]),
        ("FROM a\nEXPOSE x\nSTOPSIGNAL y", ["2:1: x is no port", "3:1: y is no signal"]),
        ("FROM a\nCOPY --from=3 a b\nEXPOSE x", ["2:1: there is no earlier stage 3", "3:1: x is no port"]),
        ("ARG V=\nFROM $V", ["2:1: with the ARGs as they are, $V is empty"]),
        ("FROM --platform=$BUILDPLATFORM a\nARG TARGETARCH\nRUN b", []),
    ],
)
def test_mistakes__dockerfile_that_can_be_parsed__are_told_with_their_places(text: str, expected: list[str]) -> None:
    parsed = parse.parse(text.encode())
    assert parsed.mistakes == ()
    assert [str(wrong).partition(" (")[0] for wrong in soundness.mistakes(parsed)] == expected
