"""What no program can be started with is a problem with its place, before anything that runs is taken away for it."""

import pytest

from agent.manifests import env_file, pipeline, program_limits

MANIFEST = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web}
spec:
  image: app
"""


def messages(spec: str) -> list[str]:
    """Return the messages of a Container's problems, with their lines."""
    file = pipeline.ManifestFile("web.yaml", "/srv", (MANIFEST + spec).encode())
    return [f"{item.line}: {item.message}" for item in pipeline.parse([file], pipeline.ParseOptions()).problems]


@pytest.mark.parametrize(
    ("spec", "what"),
    [("  command: [%s]\n", "an argument"), ("  args: [a, %s]\n", "an argument"), ("  env: {A: %s}\n", "a variable")],
)
def test_text__longer_than_linux_takes__is_a_problem(spec: str, what: str) -> None:
    longest = env_file.LONGEST - (2 if what == "a variable" else 0)
    assert messages(spec % ("x" * longest)) == []
    assert messages(spec % ("x" * (longest + 1))) == [
        f"6: {what} is 128 KiB or longer: no program can be started with it"
    ]
    assert messages(spec % ("\u00e4" * (longest // 2 + 1))) != [], "its bytes count"


def test_texts__more_than_linux_takes_together__are_a_problem() -> None:
    word = "x" * (program_limits.MOST_BYTES // 8)
    assert messages(f"  args: [{', '.join([word] * 7)}]\n") == []
    assert messages(f"  args: [{', '.join([word] * 7)}]\n  env: {{A: {word}}}\n") == [
        "5: command, args and env have more than 768 KiB together"
    ]


def test_texts__as_much_as_linux_takes_together__counts_names_and_ends_of_texts() -> None:
    word = "x" * (program_limits.MOST_BYTES // 8 - 1)
    rest = f"[{', '.join([word] * 7)}, {word[3:]}]"
    assert messages(f"  args: {rest}\n  env: {{A: ''}}\n") == []
    assert messages(f"  args: {rest}\n  env: {{AB: ''}}\n") != []
    assert messages(f"  command: {rest}\n  env: {{A: x}}\n") != []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  command: [LONG]\n", "6:13: an argument is"),
        ("  args: [a, LONG]\n", "6:13: an argument is"),
        ("  env: {A: b, B: LONG}\n", "6:18: a variable is"),
    ],
)
def test_problem__is_told_at_the_text_itself_with_a_way_out(spec: str, expected: str) -> None:
    data = (MANIFEST + spec).replace("LONG", "x" * (env_file.LONGEST + 1)).encode()
    problems = pipeline.parse([pipeline.ManifestFile("web.yaml", "/srv", data)]).problems
    ending = "128 KiB or longer: no program can be started with it (give large data as a file, by a mount)"
    assert [str(item) for item in problems] == [f"web.yaml:{expected} {ending}"]


def test_problem__of_all_texts_together__has_a_way_out_too() -> None:
    data = (MANIFEST + f"  args: [{', '.join(['x' * 100_000] * 8)}]\n").encode()
    (problem,) = pipeline.parse([pipeline.ManifestFile("web.yaml", "/srv", data)]).problems
    assert problem.hint == "give large data as a file, by a mount"


def test_kinds_without_a_program__are_passed_over() -> None:
    image = "---\napiVersion: trimtab.dev/v1\nkind: Volume\nmetadata: {name: data}\n"
    assert messages(image) == []


def test_value_of_a_secret__longer_than_linux_takes__is_a_problem() -> None:
    secret = "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {name: db}\ntype: Opaque\nstringData: {key: %s}\n"
    spec = "  env: {A: {secret: db, key: key}}\n---\n" + secret % ("x" * env_file.LONGEST)
    assert messages(spec) == ["6: Secret/db has a value of key that is too long for a variable"]
