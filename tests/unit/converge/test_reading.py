"""A source, read and understood as far as it can be; and read again until it is certain what it declares."""

import asyncio
import pathlib

import pytest

from agent.converge import acceptance, reading, signals
from agent.manifests import pipeline, problem
from agent.sources import api
from tests.unit.converge import conftest, test_loop

WEB = test_loop.MANIFEST % "web"
UNREAD = api.SourceFile("b.yaml", "/", b"", problem="it is too large")


def understood(*files: api.SourceFile) -> reading.Reading:
    """Return what is understood of some files."""
    return reading.understand(api.SourceSnapshot("r1", files), pipeline.ParseOptions())


def file(name: str, text: str) -> api.SourceFile:
    """Return a file of a source."""
    return api.SourceFile(name, "/", text.encode())


def test_understand__a_file_cannot_be_read__is_a_problem_at_its_beginning_and_nothing_is_desired() -> None:
    read = understood(file("a.yaml", WEB), UNREAD)
    assert read.problems == (problem.Problem("b.yaml", 1, 1, "it is too large", ""),)
    assert (read.desired.revision, list(read.desired), read.has_unread_files) == ("r1", [], True)
    assert read.contents == {"a.yaml": WEB.encode(), "b.yaml": b""}
    assert read.declared_in == {"Container/web": "a.yaml"}
    with pytest.raises(reading.BadManifests) as raised:
        read.checked()
    assert str(raised.value) == "the manifests have 1 problem (nothing was changed)"
    assert raised.value.reading is read


def test_understand__manifests_are_bad__is_a_problem_of_the_files_themselves() -> None:
    read = understood(file("a.yaml", WEB), file("b.yaml", "kind: Nothing\n"), file("c.yaml", "kind: Nowhere\n"))
    assert {item.path for item in read.problems} == {"b.yaml", "c.yaml"}
    assert read.has_unread_files
    with pytest.raises(reading.BadManifests, match=f"the manifests have {len(read.problems)} problems"):
        read.checked()


def test_understand__an_input_is_missing__is_no_problem_of_the_files_themselves(tmp_path: pathlib.Path) -> None:
    text = WEB.replace("networks: none", f"networks: none, envFile: [{tmp_path}/none.env]")
    read = understood(file("a.yaml", text))
    assert (len(read.problems), read.has_unread_files, read.desired.revision) == (1, False, "r1")
    assert [item.path for item in read.problems] == ["a.yaml"]


def test_reading__printed__shows_nothing_of_what_it_holds() -> None:
    assert repr(understood(file("a.yaml", WEB))) == "Reading()"


def test_proposal__of_a_snapshot__is_another_one_when_anything_of_the_source_is() -> None:
    read = understood(file("a.yaml", WEB))

    def proposed(revision: str = "r1", layout: str = "x", **fields: object) -> acceptance.Proposal:
        return reading.proposal(api.SourceSnapshot(revision, (), layout=layout, **fields), read.desired)

    assert proposed() == acceptance.Proposal("r1 x", frozenset({"Container/web"}), settled=True, atomic=False)
    assert len({proposed().state, proposed("r2").state, proposed(layout="y").state}) == 3
    assert not proposed(unsettled=("a.yaml",)).settled
    assert proposed(atomic=True).atomic


STANDING = acceptance.Standing(frozenset({"Container/web", "Container/db", "Container/api"}), frozenset())


@pytest.mark.looptime
async def test_read_certain__never_rests__is_read_every_second_and_given_up_after_a_while(
    script: conftest.Script,
) -> None:
    script.write("web.yaml", WEB)
    script.age = 0.0
    emitted: list[signals.Signal] = []
    await asyncio.sleep(1000)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(api.SourceUnavailable) as raised:
        await reading.read_certain(script, pipeline.ParseOptions(), STANDING, emitted.append)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(76.0, abs=0.5)
    assert script.reads >= 76
    assert emitted == [signals.SourceAwaited("script", "Container/api", 10.0)]
    assert str(raised.value) == (
        "script no longer declares Container/api, and does not rest: it may be half written"
        " (try again when it is finished; a commit, of a git source, is believed at once)"
    )


@pytest.mark.looptime
async def test_read_certain__declares_nothing__is_not_waited_for_as_that_removes_nothing(
    script: conftest.Script,
) -> None:
    script.age = 0.0
    emitted: list[signals.Signal] = []
    read = await reading.read_certain(script, pipeline.ParseOptions(), STANDING, emitted.append)
    assert (list(read.desired), emitted) == ([], [])
