"""Commands of other programs, each with the one that does its work here; and names that are only misspelt."""

import difflib
import os
from collections.abc import Callable, Iterable, Sequence

import click

from agent import errors
from agent.cli import typed

PROGRAM = "trimtab"
_STATUS = "trimtab status prints how everything is"
_APPLY = "trimtab apply SOURCE brings about what it declares"
_DELETE = "trimtab delete SOURCE removes what it declares; to remove one object, remove its manifest"
_DECLARE = "write it into a manifest, and trimtab apply SOURCE brings it about"
_PLAN = "trimtab plan SOURCE prints what would change"
_DESCRIBE = "trimtab describe NAME prints all that is known of an object"
_PULL = "declare the image (trimtab explain image), and it is pulled"
_STOP = "what is declared is kept running: remove its manifest, or trimtab suspend NAME and stop it by hand"
_EXEC = "trimtab exec -it NAME sh runs a shell in it, and trimtab logs -f NAME prints what it writes"
_VALIDATE = "trimtab validate SOURCE checks manifests"
_WORDS = {
    "api-resources": "trimtab explain lists the kinds",
    "attach": _EXEC,
    "check": _VALIDATE,
    "compose": _APPLY,
    "cordon": "trimtab suspend --all leaves everything as it is",
    "create": _DECLARE,
    "destroy": _DELETE,
    "df": "trimtab system df prints what takes room",
    "diff": _PLAN,
    "down": _DELETE,
    "edit": _DECLARE,
    "fmt": "trimtab render SOURCE -o yaml writes manifests anew",
    "get": _STATUS,
    "images": "trimtab image ls lists images",
    "import": "trimtab image import FILE REFERENCE makes an image of an archive",
    "info": "trimtab doctor checks the host, and trimtab status prints how everything is",
    "init": "trimtab explain container says what a manifest has; trimtab adopt takes over what runs already",
    "inspect": _DESCRIBE,
    "kill": "trimtab restart NAME stops a container and starts it again",
    "lint": _VALIDATE,
    "list": _STATUS,
    "load": "trimtab image load FILE loads images",
    "login": "declare a Secret (trimtab explain secret), or log in as docker and podman do",
    "ls": _STATUS,
    "network": _STATUS,
    "patch": _DECLARE,
    "pause": "trimtab suspend NAME leaves an object as it is; it goes on running",
    "port": "trimtab status -o wide prints ports and addresses",
    "prune": "trimtab system prune removes images that nothing uses",
    "ps": _STATUS,
    "pull": _PULL,
    "push": "trimtab image push REFERENCE pushes an image",
    "refresh": "trimtab reconcile lets the agent look at everything now",
    "reload": "trimtab reconcile lets the agent look at everything now",
    "rm": _DELETE,
    "remove": _DELETE,
    "rmi": "trimtab image rm REFERENCE removes an image",
    "rollout": "trimtab restart NAME restarts containers, and trimtab history prints what was applied",
    "save": "trimtab image save REFERENCE --to FILE writes images to an archive",
    "scale": _DECLARE,
    "set": _DECLARE,
    "show": _DESCRIBE,
    "start": "what is declared is kept running: trimtab describe NAME says why it does not run",
    "state": "trimtab observe prints what is on the host",
    "stats": "the metrics of a running agent have what containers use: ops/docs/metrics.md",
    "stop": _STOP,
    "sync": "trimtab reconcile lets the agent look at everything now",
    "tag": "trimtab image tag REFERENCE NEW adds a name to an image",
    "test": _VALIDATE,
    "uncordon": "trimtab resume --all",
    "unpause": "trimtab resume NAME",
    "up": "trimtab apply SOURCE brings about what it declares, once; trimtab run SOURCE keeps it so",
    "volume": _STATUS,
    "watch": "trimtab status -w prints each change",
    "image build": "trimtab build PATH builds an image, and spec.build of an Image keeps it built",
    "image delete": "trimtab image rm REFERENCE",
    "image history": "trimtab describe NAME prints an image's digests",
    "image inspect": "trimtab describe NAME prints an image's digests",
    "image list": "trimtab image ls",
    "image prune": "trimtab system prune removes images that nothing uses",
    "image pull": _PULL,
    "image remove": "trimtab image rm REFERENCE",
    "system info": "trimtab doctor checks the host",
}
"""By the words behind ``trimtab``."""


FLAGS = {
    "trimtab build --allow": "trimtab build --network host grants the host's network; nothing else is granted",
    "trimtab build --force-rm": "leave it out: nothing is left of a build but its image and the cache",
    "trimtab build --iidfile": "trimtab build -q prints the id: > FILE",
    "trimtab build --load": "leave it out: what has a --tag is in the image store",
    "trimtab build --metadata-file": "trimtab build -o json prints the result: > FILE",
    "trimtab build --push": "trimtab image push REFERENCE pushes what has a --tag",
    "trimtab build --rm": "leave it out: nothing is left of a build but its image and the cache",
    "trimtab build --squash": "copy what is wanted into a last stage: FROM scratch, and COPY --from=STAGE / /",
}
"""Flags of other programs, each with what does its work here."""


class UnknownCommand(errors.TrimtabError):
    """A command that is not there; the hint is what to type instead."""


class SuggestingGroup(click.Group):
    """Commands, and what is typed in place of others."""

    def get_help_option(self, ctx: click.Context) -> click.Option:  # noqa: ARG002 - as click declares it
        """Return ``--help``, the same one each time."""
        self._help_option = self._help_option or typed.help_option()
        return self._help_option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what was typed in front of the command's name."""
        return super().parse_args(ctx, typed.plain_words(self, ctx, args))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click declares it
        """Return the commands' names, in their order."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is typed. Raises ``UnknownCommand``."""
        commands = self.list_commands(ctx)
        if args[0] not in commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            path = ctx.command_path
            message = f"{path} has no command {args[0]!r}"
            raise UnknownCommand(message, hint=_completed(ctx, suggestion(path, args[0], commands)))
        return super().resolve_command(ctx, args)


def group(name: str, text: str, commands: Iterable[tuple[str, Callable[..., None], str]]) -> SuggestingGroup:
    """Return a group of commands, each with its name, its function and its line in the list. ``text``: its help."""
    return SuggestingGroup(
        name,
        help=text,
        no_args_is_help=True,
        context_settings={"help_option_names": typed.HELP_NAMES},
        commands=[typed.command(own, function, summary=summary) for own, function, summary in commands],
    )


def suggestion(path: str, word: str, commands: Sequence[str]) -> str:
    """Return what to type in place of a word behind ``trimtab``, or ``trimtab image``, that is none of its commands."""
    instead = _WORDS.get(f"{path.removeprefix(PROGRAM)} {word}".strip().lower(), "")
    if instead:
        return instead
    similar = difflib.get_close_matches(word.lower(), commands, n=2)
    if similar:
        return f"did you mean {' or '.join(f'{path} {command}' for command in similar)}?"
    return f"{path} --help lists the commands"


def _completed(context: click.Context, text: str) -> str:
    """Return a hint whose commands have the flags that were typed."""
    from agent import invocation, settings

    root = context.find_root()
    flags = {name: value for name, value in (root.obj or root.params).items() if isinstance(value, str)}
    try:
        chosen = settings.load(flags, os.environ)
    except errors.TrimtabError:
        return text
    config = flags.get("config") or os.environ.get(settings.CONFIG_VARIABLE) or ""
    return invocation.of(chosen, config, os.environ).completed(text)
