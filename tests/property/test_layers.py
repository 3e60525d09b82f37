"""Safety of unpacking: whatever an archive says, it changes nothing beside its directory, and leaves nothing open."""

import pathlib
import tarfile
import tempfile

import hypothesis
import pytest
from hypothesis import strategies

from agent import errors
from agent.distribution.layers import streams
from agent.engine.kernel import linux
from agent.engine.layers import unpack
from tests import archives

pytestmark = pytest.mark.root

KERNEL = linux.LinuxKernel()
LIMITS = streams.Limits()
_PLAIN = strategies.sampled_from(["a", "b", "l", "a/b", "a/l", "b/l", "l/a", "canary/a"])
_PARTS = strategies.sampled_from(
    ["a", "b", "l", "..", ".", "", "canary", ".wh.a", ".wh.l", ".wh..wh..opq", ".wh...", "\udcff", "n" * 256]
)


@strategies.composite
def _strange(draw: strategies.DrawFn) -> str:
    start = draw(strategies.sampled_from(["", "/", "../", "../" * 20, "l/", "a/l/", "l/../"]))
    return start + "/".join(draw(strategies.lists(_PARTS, min_size=1, max_size=5)))


_UPWARDS = strategies.builds("{}{}".format, strategies.sampled_from(["../", "../../canary/", "/", "/../a/"]), _PLAIN)
_MARKERS = strategies.sampled_from([".wh.a", ".wh.l", "a/.wh.b", "a/.wh..wh..opq", "l/.wh.a", "../.wh.canary"])
_NAMES = strategies.one_of(_PLAIN, _PLAIN, _UPWARDS)


def _members(anything: strategies.SearchStrategy[str]) -> strategies.SearchStrategy[archives.Member]:
    modes = strategies.integers(0, 0o7777)
    owners = strategies.sampled_from([0, 1, 65534, 2**32 - 2])
    return strategies.one_of(
        strategies.builds(archives.file, _NAMES, strategies.binary(max_size=40), mode=modes, uid=owners),
        strategies.builds(archives.folder, _NAMES, modes, gid=owners),
        strategies.builds(archives.symlink, _NAMES, anything),
        strategies.builds(archives.symlink, strategies.sampled_from(["l", "a/l"]), strategies.just("../canary")),
        strategies.builds(archives.hardlink, _NAMES, _PLAIN),
        strategies.builds(archives.file, _MARKERS),
        strategies.builds(archives.special, _NAMES, strategies.just(tarfile.FIFOTYPE)),
        strategies.builds(archives.file, anything),
    )


def _wild() -> strategies.SearchStrategy[archives.Member]:
    kinds = strategies.sampled_from([tarfile.CHRTYPE, b"s", tarfile.CONTTYPE])
    numbers = strategies.integers(0, 9)
    return strategies.one_of(
        strategies.builds(archives.file, _strange(), uid=strategies.just(2**32 - 1)),
        strategies.builds(archives.hardlink, _strange(), _strange()),
        strategies.builds(archives.device, _strange(), numbers, numbers),
        strategies.builds(archives.special, _strange(), kinds),
    )


TAME = strategies.lists(_members(_NAMES), max_size=12)
WILD = strategies.lists(strategies.one_of(_members(_strange()), _wild()), min_size=1, max_size=12)


def _unpack(layer: bytes, target: pathlib.Path) -> None:
    blob = target.with_name("blob")
    blob.write_bytes(layer)
    with blob.open("rb") as file:
        unpack.unpack(KERNEL, streams.bounded(blob, file, LIMITS), target, LIMITS)
    blob.unlink()


def assert_contained(layer: bytes) -> bool:
    """Unpack a layer in a directory with neighbours, see that they are as before, and tell whether it was taken."""
    with tempfile.TemporaryDirectory() as home:
        top = pathlib.Path(home)
        canary = top / "canary"
        for folder in ("a/b", "l", "canary"):
            (canary / folder).mkdir(parents=True)
            (canary / folder / "a").write_text("untouched")
        (top / "a").write_text("untouched")
        target = top / "layer"
        target.mkdir()
        before, before_above, open_before = archives.tree(canary), (top / "a").stat(), archives.descriptors()
        try:
            _unpack(layer, target)
        except errors.InvalidArgument:
            return False
        finally:
            (top / "blob").unlink(missing_ok=True)
            assert archives.descriptors() == open_before
            assert archives.tree(canary) == before
            assert (top / "a").stat() == before_above
            assert sorted(path.name for path in top.iterdir()) == ["a", "canary", "layer"]
        assert_no_markers(archives.tree(target))
        return True


def assert_no_markers(entries: dict[str, tuple[object, ...]]) -> None:
    """Of what was made, nothing is a marker that should have become overlayfs' own."""
    assert not [name for name in entries if pathlib.PurePath(name).name.startswith(".wh.")]


@hypothesis.settings(max_examples=250, deadline=None)
@hypothesis.given(strategies.one_of(TAME, WILD))
def test_unpack__any_entries_in_any_order__change_nothing_outside_and_leave_nothing_open(members) -> None:
    hypothesis.event("taken" if assert_contained(archives.tar(*members)) else "refused")


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(WILD, strategies.data())
def test_unpack__bytes_changed_anywhere__change_nothing_outside_either(members, data) -> None:
    layer = bytearray(archives.tar(*members))
    for _ in range(data.draw(strategies.integers(1, 4))):
        layer[data.draw(strategies.integers(0, len(layer) - 1))] = data.draw(strategies.integers(0, 255))
    hypothesis.event("taken" if assert_contained(bytes(layer)) else "refused")


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(TAME)
def test_unpack__same_layer_twice__is_the_same_tree(members) -> None:
    layer = archives.tar(*members)
    outcomes = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as home:
            target = pathlib.Path(home) / "layer"
            target.mkdir()
            try:
                _unpack(layer, target)
            except errors.InvalidArgument as error:
                outcomes.append(type(error))
            else:
                outcomes.append({name: entry[:3] for name, entry in archives.tree(target).items() if name != "."})
    assert outcomes[0] == outcomes[1]
