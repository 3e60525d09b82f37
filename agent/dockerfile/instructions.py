"""The instructions of a Dockerfile, by the names of its reference."""

import enum

from agent.dockerfile import lines, mistake
from agent.kit import frozen

Pair = tuple[str, str]


@frozen.value
class Origin:
    """Where an instruction stands, and how it is spelled."""

    position: mistake.Position
    last: int
    """The number of its last line."""
    source: str
    """The instruction with its lines joined, without its here-documents."""


@frozen.value
class Command:
    """What RUN, CMD and ENTRYPOINT run."""

    words: tuple[str, ...]
    """Of the exec form, its words; of the shell form one: what a shell is given."""
    is_shell: bool
    documents: tuple[lines.HereDocument, ...] = ()


class MountType(enum.StrEnum):
    """The types of RUN's mounts."""

    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"  # noqa: S105 - the type's name
    SSH = "ssh"


class Sharing(enum.StrEnum):
    """Who may use a cache mount at once."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@frozen.value
class Mount:
    """A mount of RUN."""

    type: MountType = MountType.BIND
    target: str = ""
    source: str = ""
    origin: str = ""
    """``from``: a stage, an image or a named context; empty: the build's context."""
    id: str = ""
    is_read_only: bool = True
    is_required: bool = False
    sharing: Sharing | None = None
    size: int | None = None
    """Bytes of a tmpfs."""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str = ""
    """The variable that holds a secret."""


@frozen.value
class Run:
    """RUN: a command in the image so far."""

    origin: Origin
    command: Command
    mounts: tuple[str, ...] = ()
    """As they are spelled: they may hold variables (``mounts.parse``)."""
    network: str = "default"
    security: str = "sandbox"


@frozen.value
class Cmd:
    """CMD: what a container runs by default."""

    origin: Origin
    command: Command


@frozen.value
class Entrypoint:
    """ENTRYPOINT: what a container runs, with its command as arguments."""

    origin: Origin
    command: Command


@frozen.value
class Label:
    """LABEL: names and values of the image."""

    origin: Origin
    pairs: tuple[Pair, ...]
    uses_equals: bool = True
    """Whether it is ``NAME=VALUE``; the old form is ``NAME VALUE``, up to the end of the line."""


@frozen.value
class Env:
    """ENV: variables of the image and of what is built behind it."""

    origin: Origin
    pairs: tuple[Pair, ...]
    uses_equals: bool = True
    """Whether it is ``NAME=VALUE``; the old form is ``NAME VALUE``, up to the end of the line."""


@frozen.value
class Arg:
    """ARG: variables of the build."""

    origin: Origin
    pairs: tuple[tuple[str, str | None], ...]
    """Names with their defaults; ``None`` where there is none."""


@frozen.value
class Maintainer:
    """MAINTAINER: the image's author."""

    origin: Origin
    name: str


@frozen.value
class Expose:
    """EXPOSE: ports that a container listens on."""

    origin: Origin
    ports: tuple[str, ...]


@frozen.value
class Sources:
    """What ADD and COPY take, and where to."""

    paths: tuple[str, ...]
    documents: tuple[lines.HereDocument, ...]
    """Files whose content stands in the Dockerfile."""
    target: str
    chown: str = ""
    chmod: str = ""
    is_linked: bool = False
    """``--link``: a layer that does not depend on those below."""
    excluded: tuple[str, ...] = ()
    """Patterns of what is left out."""


@frozen.value
class Add:
    """ADD: files of the context, URLs, git repositories; archives are unpacked."""

    origin: Origin
    sources: Sources
    checksum: str = ""
    keeps_git_dir: bool = False
    unpacks: bool | None = None
    """``--unpack``; ``None``: archives of the context are unpacked, those of a URL are not."""


@frozen.value
class Copy:
    """COPY: files of the context, or of another stage, image or context."""

    origin: Origin
    sources: Sources
    stage: str = ""
    """``--from``; empty: the build's context."""
    keeps_parents: bool = False


@frozen.value
class Volume:
    """VOLUME: paths whose content outlives a container."""

    origin: Origin
    paths: tuple[str, ...]


@frozen.value
class User:
    """USER: who runs what comes behind it."""

    origin: Origin
    user: str


@frozen.value
class Workdir:
    """WORKDIR: where what comes behind it runs."""

    origin: Origin
    path: str


@frozen.value
class StopSignal:
    """STOPSIGNAL: the signal that asks a container to end."""

    origin: Origin
    signal: str


@frozen.value
class Shell:
    """SHELL: what runs the shell form."""

    origin: Origin
    words: tuple[str, ...]


@frozen.value
class Healthcheck:
    """HEALTHCHECK: how a container's health is asked for. Times are in nanoseconds; 0: the engine's default."""

    origin: Origin
    command: Command | None
    """``None``: NONE, the base image's check is taken away."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@frozen.value
class Onbuild:
    """ONBUILD: an instruction for who builds upon the image."""

    origin: Origin
    instruction: "Instruction"
    expression: str
    """The instruction as the image's configuration holds it."""


Instruction = (
    Run
    | Cmd
    | Label
    | Maintainer
    | Expose
    | Env
    | Add
    | Copy
    | Entrypoint
    | Volume
    | User
    | Workdir
    | Arg
    | Onbuild
    | StopSignal
    | Healthcheck
    | Shell
)


@frozen.value
class Stage:
    """FROM with the instructions behind it."""

    origin: Origin
    base: str
    """An image, an earlier stage, or ``scratch``; it may hold variables."""
    name: str
    """In small letters; empty where it has none."""
    platform: str
    instructions: tuple[Instruction, ...]


@frozen.value
class Dockerfile:
    """A whole Dockerfile."""

    escape: str
    syntax: str
    """The frontend that the file asks for; empty where it names none."""
    check: str
    """What the file says of build checks (``checks.choice``)."""
    arguments: tuple[Arg, ...]
    """ARGs in front of the first FROM: only FROM knows them."""
    stages: tuple[Stage, ...]
