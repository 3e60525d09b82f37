"""Large and hostile Dockerfiles are read in time that grows with their size."""

import time

import pytest

from agent.dockerfile import limits, parse

COUNT = 20_000
_AGES = 60
"""Seconds of CPU time: a walk that grows with the square takes minutes, one that grows with the size a few seconds."""


@pytest.mark.parametrize(
    "text",
    [
        "RUN a\n" * COUNT,
        "ENV a=b \\\n" + " c=d \\\n" * COUNT + " e=f",
        "RUN " + "--mount=type=ssh " * COUNT + "a",
        "RUN a \\\n" + "# comment\n" * COUNT + " b",
        "RUN a \\\n" + "\n" * COUNT + " b",
        "COPY " + "a " * COUNT + "/",
        "COPY " + "<<a " * 200 + "/\n" + "a\n" * 200,
        "ENV a=" + '"' * COUNT,
        "CMD " + "[" * COUNT,
        "RUN <<EOF\n" + "x\n" * COUNT + "EOF",
        "LABEL a=" + "${b:-" * 500 + "}" * 500,
        "EXPOSE " + " 1" * COUNT,
        "RUN a" + " " * COUNT + "\\ " * 10,
    ],
)
def test_parse__large__ends_soon(text: str) -> None:
    begun = time.process_time()
    assert parse.parse(f"FROM a\n{text}\n".encode()).mistakes == ()
    assert time.process_time() - begun < _AGES


def test_parse__too_large__is_refused() -> None:
    (mistake,) = parse.parse(b"#" * (limits.LARGEST + 1)).mistakes
    assert str(mistake) == "1:1: the file is larger than 8 MiB (files belong into the context: COPY them)"
    assert parse.parse(b"FROM a\n#" + b"x" * (limits.LARGEST - 8)).mistakes == ()


def test_parse__of_mistakes_alone__stops_after_a_hundred() -> None:
    assert len(parse.parse(b"FROMM x\n" * 100_000).mistakes) == parse.MOST_MISTAKES
