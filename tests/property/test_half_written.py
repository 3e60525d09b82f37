"""Whatever is done to manifests, and whenever they are read: what is declared all along is never taken as removed.

A file system in RAM on which programs do what editors, cp, rsync, tar, git and sync tools do, step by step, while a
reader takes its looks step by step, in any order of all these steps. The decisions are the real ones.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.converge import acceptance
from agent.kit.writers import Writer
from agent.sources import api, stability

PERIODS = stability.RestPeriods()
CONFIG = "image-" * 5 + ";"
STAYING = frozenset({"db", "web", "api"})
Step = Callable[["Disk"], None]


@dataclasses.dataclass(slots=True)
class Inode:
    """A file: its bytes, and how many have it open for writing."""

    number: int
    data: bytes = b""
    changed: float = 0.0
    writers: int = 0
    is_readable: bool = True


class Disk:
    """One directory tree. Its stamps have a granularity, as a kernel's."""

    def __init__(self, tick: float, *, remote: bool) -> None:
        self.now = 100.0
        self.files: dict[str, Inode] = {}
        self.layout = 0.0
        self.remote = remote
        self._tick = tick
        self._numbers = itertools.count(1)

    @property
    def stamp(self) -> float:
        """The time as stamps have it."""
        return self.now // self._tick * self._tick

    def touch(self, inode: Inode) -> None:
        """Note a change of a file."""
        inode.changed = self.stamp

    def make(self, path: str) -> Inode:
        """Open for writing with O_CREAT and O_TRUNC."""
        if path not in self.files:
            self.files[path] = Inode(next(self._numbers))
            self.layout = self.stamp
        inode = self.files[path]
        inode.data = b""
        inode.writers += 1
        self.touch(inode)
        return inode

    def rename(self, old: str, new: str) -> None:
        """Rename, over what is there."""
        if old in self.files:
            self.files[new] = self.files.pop(old)
            self.touch(self.files[new])
            self.layout = self.stamp

    def unlink(self, path: str) -> None:
        """Remove a name."""
        if self.files.pop(path, None) is not None:
            self.layout = self.stamp


def text(names: frozenset[str]) -> bytes:
    """A manifest: a line for each object; its end says that the line is whole."""
    return b"".join(f"{name}={CONFIG}\n".encode() for name in sorted(names))


def meaning(data: bytes) -> dict[str, str]:
    """Return the objects that a manifest declares: half a line is an object with half a configuration."""
    lines = (line.partition("=") for line in data.decode().split("\n") if line.strip())
    return {name: config for name, _, config in lines}


class InPlace:
    """Truncate, write in parts, close: cp, cat >, most programs."""

    def __init__(self, path: str, data: bytes, parts: int) -> None:
        self._path, self._data, self._parts = path, data, parts
        self._inode = Inode(0)

    def steps(self) -> Iterator[Step]:
        """One system call each."""
        yield self._open
        size = max(1, -(-len(self._data) // self._parts))
        for start in range(0, len(self._data), size):
            yield lambda disk, part=self._data[start : start + size]: self._write(disk, part)  # type: ignore[misc]
        yield self._close

    def _open(self, disk: Disk) -> None:
        self._inode = disk.make(self._path)

    def _write(self, disk: Disk, part: bytes) -> None:
        self._inode.data += part
        disk.touch(self._inode)

    def _close(self, _: Disk) -> None:
        self._inode.writers -= 1


def replaced(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """A temporary file that is renamed: rsync, Syncthing, careful editors."""
    yield from InPlace(path + ".tmp", data, parts).steps()
    yield lambda disk: disk.rename(path + ".tmp", path)


def backed_up(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """The old one is renamed away first: vim."""
    yield lambda disk: disk.rename(path, path + "~")
    yield from InPlace(path, data, parts).steps()
    yield lambda disk: disk.unlink(path + "~")


def recreated(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """Removed and made anew: tar, git checkout."""
    yield lambda disk: disk.unlink(path)
    yield from InPlace(path, data, parts).steps()


def moved(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """Written elsewhere after it was removed here, and brought back."""
    yield lambda disk: disk.unlink(path)
    yield from InPlace("moved-" + path, data, parts).steps()
    yield lambda disk: disk.rename("moved-" + path, path)


def emptied(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """Closed while it is empty, and then written: touch, a tool that opens twice."""
    yield from InPlace(path, b"", 1).steps()
    yield from InPlace(path, data, parts).steps()


def closing(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """Opened and closed for each step, and up to several seconds between two: ``cat v1 > f; sleep 5; cat v2 >> f``."""
    del parts
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines):
        yield lambda disk, line=line, number=number: append(disk, path, line, anew=number == 0)  # type: ignore[misc]


def with_changes_of_mode(steps: Iterator[Step], path: str, where: str) -> Iterator[Step]:
    """Run chmod after each step, or so that nobody can read the file until the last one."""
    whole = list(steps)
    if where == "around":
        whole = [lambda disk: change_mode(disk, path, is_readable=False), *whole]
        whole.append(lambda disk: change_mode(disk, path, is_readable=True))
    for step in whole:
        yield step
        if where == "between":
            yield lambda disk: change_mode(disk, path, is_readable=True)


def append(disk: Disk, path: str, data: bytes, *, anew: bool) -> None:
    """Open, write and close at once."""
    inode = disk.make(path) if anew else disk.files[path]
    inode.data += data
    inode.writers -= anew
    disk.touch(inode)


def in_place(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """Truncate, write in parts, close."""
    yield from InPlace(path, data, parts).steps()


def closed_to_readers(path: str, data: bytes, parts: int) -> Iterator[Step]:
    """Written anew while only its writer may read it: chmod before and after."""
    yield lambda disk: change_mode(disk, path, is_readable=False)
    yield from InPlace(path, data, parts).steps()
    yield lambda disk: change_mode(disk, path, is_readable=True)


def change_mode(disk: Disk, path: str, *, is_readable: bool) -> None:
    """Run chmod."""
    disk.files[path].is_readable = is_readable
    disk.touch(disk.files[path])


PROGRAMS = (in_place, replaced, backed_up, recreated, moved, emptied, closed_to_readers)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The times and steps of programs that write to the disk."""

    steps: tuple[tuple[float, Step], ...]
    """(seconds since the step before, step)."""


@st.composite
def plans(draw: st.DrawFn, longest_pause: float) -> Plan:
    """Some programs, one after another, each on one of the files; all of them leave all objects declared."""
    steps: list[tuple[float, Step]] = []
    for _ in range(draw(st.integers(1, 6))):
        path, own = draw(st.sampled_from([("a.yaml", frozenset({"db", "web"})), ("b.yaml", frozenset({"api"}))]))
        more = draw(st.sampled_from([frozenset[str](), frozenset({"zz-" + path[0]}), frozenset({"aa-" + path[0]})]))
        program = draw(st.sampled_from(PROGRAMS))
        for step in program(path, text(own | more), draw(st.integers(1, 5))):
            pause = draw(st.one_of(st.just(0.0), st.floats(0, longest_pause)))
            steps.append((pause, step))
        steps.append((draw(st.floats(0, 2)), lambda _: None))
    return Plan(tuple(steps))


class World:
    """The disk, the programs on it, and a reader with the real decisions."""

    def __init__(self, disk: Disk, plan: Plan, pauses: Callable[[], float], data: frozenset[str] = frozenset()) -> None:
        self.disk = disk
        self._data = data
        self._steps = list(plan.steps)
        self._next = disk.now + (self._steps[0][0] if self._steps else 0.0)
        self._pauses = pauses
        self._stability = stability.FileStability(PERIODS)
        self._acceptance = acceptance.Acceptance()
        self.standing: dict[str, str] = {}
        self.declared_in: dict[str, str] = {}
        self.next_look: float | None = None

    @property
    def busy(self) -> bool:
        """Return whether programs still have steps to run."""
        return bool(self._steps)

    def pass_time(self, until: float) -> None:
        """Run the steps of the programs that are due."""
        while self._steps and self._next <= until:
            self.disk.now = self._next
            self._steps.pop(0)[1](self.disk)
            self._next += self._steps[0][0] if self._steps else 0.0
        self.disk.now = until

    def look(self) -> None:
        """Read everything, with programs at work between any two steps of it, and decide."""
        looks = [look for path in sorted(self.disk.files) if (look := self._read(path)) is not None]
        self._tick()
        layout = self.disk.layout
        now = self.disk.now
        settled = self._stability.take(looks, now)
        declared = {name: config for file in settled.files for name, config in meaning(file.data).items()}
        if not declared or any(file.problem for file in settled.files):
            self.next_look = settled.next_reading_at
            return
        standing = frozenset(self.standing)
        content = "".join(f"{file.path}{file.data!r}" for file in settled.files)
        proposal = acceptance.Proposal(
            f"{content}{layout}",
            frozenset(declared),
            not settled.unsettled,
            atomic=False,
            shortened=acceptance.shortened(standing - declared.keys(), self.declared_in, settled.changed_in_place),
            data=self._data,
        )
        decision = self._acceptance.judge(standing, proposal, now)
        if decision.next_look_at is None:
            self.standing = declared
            self.declared_in = {name: file.path for file in settled.files for name in meaning(file.data)}
        self.next_look = min(filter(None, (decision.next_look_at, settled.next_reading_at)), default=None)

    def _tick(self) -> None:
        self.pass_time(self.disk.now + self._pauses())

    def _read(self, path: str) -> stability.FileReading | None:
        self._tick()
        inode = self.disk.files.get(path)
        if inode is None or not path.endswith(".yaml"):
            return None
        if not inode.is_readable:
            return stability.FileReading(api.SourceFile(path, "/", b"", "cannot be read: permission denied"))
        before = (inode.number, len(inode.data), inode.changed)
        half = inode.data[: len(inode.data) // 2]
        self._tick()
        data = (half + inode.data[len(half) :]) if len(inode.data) >= len(half) else half
        self._tick()
        writer = Writer.OPEN if inode.writers else Writer.NONE
        after = (inode.number, len(inode.data), inode.changed)
        torn = before != after or len(data) != before[1] or self.disk.files.get(path) is not inode
        signature = (0, inode.number, len(data), round(inode.changed * 1e9), round(inode.changed * 1e9))
        file = api.SourceFile(path, "/", data)
        writer = Writer.UNKNOWN if self.disk.remote else writer
        return stability.FileReading(file, signature, torn, writer, self.disk.now - inode.changed)


def start(
    plan: Plan,
    tick: float,
    pauses: Callable[[], float],
    *,
    remote: bool = False,
    data: frozenset[str] = frozenset(),
) -> World:
    """A directory that has been at rest for long, and read."""
    disk = Disk(tick, remote=remote)
    disk.now = 0.0
    for path, names in (("a.yaml", frozenset({"db", "web"})), ("b.yaml", frozenset({"api"}))):
        for step in in_place(path, text(names), 1):
            step(disk)
    disk.now = 100.0
    world = World(disk, Plan(()), lambda: 0.0)
    for _ in range(3):
        world.look()
        world.pass_time(disk.now + 2.0)
    running = World(disk, plan, pauses, data)
    running.standing, running._stability = world.standing, world._stability
    running.declared_in = world.declared_in
    assert running.standing.keys() == STAYING
    return running


def follow(world: World, gaps: Callable[[], float]) -> Iterator[dict[str, str]]:
    """Look now and then while programs work, and afterwards until nothing asks for another look."""
    for _ in range(60):
        world.look()
        yield world.standing
        if not world.busy and world.next_look is None:
            return
        moment = world.disk.now + gaps()
        if not world.busy and world.next_look is not None:
            moment = max(world.disk.now, world.next_look)
        world.pass_time(moment)


SMALL = st.one_of(st.floats(0, 0.01), st.floats(0, 0.2))
GAPS = st.one_of(st.floats(0.03, 0.3), st.floats(0.3, 1.5))


@settings(max_examples=120, deadline=None)
@given(st.data(), plans(longest_pause=0.3), st.sampled_from([1e-6, 0.004]))
def test_files_are_rewritten_in_any_way__nothing_that_stays_is_ever_missing_or_half(
    data: st.DataObject, plan: Plan, tick: float
) -> None:
    world = start(plan, tick, lambda: data.draw(SMALL))
    for standing in follow(world, lambda: data.draw(GAPS)):
        assert standing.keys() >= STAYING
        assert set(standing.values()) == {CONFIG}
    world.pass_time(world.disk.now + 10)
    final = {name: config for inode in world.disk.files.values() for name, config in meaning(inode.data).items()}
    for _ in range(4):
        world.look()
        world.pass_time(world.next_look or world.disk.now + 1)
    assert world.standing == final


@settings(max_examples=60, deadline=None)
@given(st.data(), plans(longest_pause=0.4))
def test_nobody_can_tell_who_writes__nothing_that_stays_is_ever_missing_or_half(
    data: st.DataObject, plan: Plan
) -> None:
    world = start(plan, 0.004, lambda: data.draw(SMALL), remote=True)
    for standing in follow(world, lambda: data.draw(GAPS)):
        assert standing.keys() >= STAYING
        assert set(standing.values()) == {CONFIG}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.sampled_from([(8.0, False), (55.0, True)]),
    st.floats(0.2, 1.5),
    st.sampled_from([frozenset[str](), frozenset({"zz"}), frozenset({"aa"})]),
    st.lists(st.sampled_from([b"image-", b"other-", b"#", b""]), min_size=1, max_size=3),
    st.sampled_from(["no", "between", "around"]),
)
def test_a_file_is_closed_between_steps__nothing_that_stays_is_ever_missing(
    parts: list[float],
    longest: tuple[float, bool],
    gap: float,
    more: frozenset[str],
    texts: list[bytes],
    changes_mode: str,
) -> None:
    pause, is_data = longest
    names = frozenset({"db", "web"}) | more
    versions = itertools.cycle(text(names).replace(b"image-", other) for other in texts)
    steps = [
        step
        for _ in parts
        for step in with_changes_of_mode(closing("a.yaml", next(versions), 1), "a.yaml", changes_mode)
    ]
    timed = tuple((pause * parts[number % len(parts)], step) for number, step in enumerate(steps))
    world = start(Plan(timed), 0.004, lambda: 0.0, data=STAYING if is_data else frozenset())
    while world.busy:
        world.look()
        assert world.standing.keys() >= STAYING
        world.pass_time(world.disk.now + gap)
    for _ in range(100):
        world.look()
        world.pass_time(world.disk.now + 1)
    assert world.standing.keys() == STAYING | names


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["unlink", "replace", "rewrite"]), st.floats(0.0, 0.2), st.booleans())
def test_something_is_really_gone__it_is_so_within_two_seconds_and_in_place_later(
    data: st.DataObject,
    how: str,
    pause: float,
    is_other_edited: bool,
) -> None:
    if how == "unlink":
        steps: list[Step] = [lambda disk: disk.unlink("b.yaml")]
        missing = "api"
    elif how == "replace":
        steps = list(replaced("a.yaml", text(frozenset({"db"})), 1))
        missing = "web"
    else:
        steps = list(in_place("a.yaml", text(frozenset({"web"})), 1))
        missing = "db"
    if is_other_edited:
        other, names = ("b.yaml", frozenset({"api"})) if how != "unlink" else ("a.yaml", frozenset({"db", "web"}))
        steps = [*in_place(other, text(names) + b"more=1\n", 1), *steps]
    world = start(Plan(tuple((pause, step) for step in steps)), 0.004, lambda: data.draw(st.floats(0, 0.002)))
    while world.busy:
        world.pass_time(world.disk.now + 0.03)
    happened = world.disk.now
    world.pass_time(happened + 0.03)  # the debounce
    world.look()
    while missing in world.standing:
        assert world.next_look is not None
        world.pass_time(max(world.next_look, world.disk.now))
        world.look()
    within = (10.0, 10.7) if how == "rewrite" else (1.0, 1.6)
    assert within[0] <= world.disk.now - happened < within[1]
    assert STAYING - {missing} <= world.standing.keys()
