"""Tasks that are named, guarded and never forgotten. The only place that makes an asyncio task."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, Self, TypeVar

T = TypeVar("T")

_HEARD = 10.0
"""Seconds that a cancelled task has to undo what it was at, before it is told again: less than systemd waits."""


def spawn(group: "asyncio.TaskGroup", work: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
    """Run a task of a group under a name; its failure ends the group."""
    return group.create_task(work, name=name)


async def together(name: str, *work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Await all side by side; results in order. The first failure ends the others and is raised as itself.

    Further failures are notes of the first (``add_note``): what its traceback tells is all that went wrong.
    Not a ``TaskGroup``: on Python 3.11 a failed one can leave the task that ran it marked as cancelled, which the next
    one takes for a wish to end.
    """
    tasks = [asyncio.get_running_loop().create_task(coroutine, name=name) for coroutine in work]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        pending = [task for task in tasks if not task.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    failures = [failure for task in tasks if not task.cancelled() and (failure := task.exception()) is not None]
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"and beside it: {type(other).__name__}: {other}")
        raise failures[0]
    return [task.result() for task in tasks]


async def in_thread(
    call: Callable[[], T], *, pool: futures.Executor | None = None, give_up: Callable[[], None] = lambda: None
) -> T:
    """Run something that blocks in a thread, of ``pool`` or the loop's own.

    Whoever is cancelled is so when the thread has let go of what it holds, and can undo it then. ``give_up`` tells the
    thread that nobody waits for the result.
    """
    running = asyncio.get_running_loop().run_in_executor(pool, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        give_up()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # nobody is there any more to be told
        raise


def is_ending() -> bool:
    """Return whether the current task has been cancelled, also where an error in its clean-up has hidden that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def report_failure(task: str, failure: BaseException) -> None:
    """Report a task that nobody waits for, and that must not fail, to the event loop's exception handler."""
    asyncio.get_running_loop().call_exception_handler({"message": f"{task} has failed", "exception": failure})


class Crew:
    """Tasks that come and go while a program runs. A failure is reported to ``on_failure`` and harms no other task.

    Leaving (``async with``) cancels all and waits until they have ended.
    """

    def __init__(self, on_failure: Callable[[str, BaseException], None] = report_failure) -> None:
        """Take what a task's failure is reported to: its name and the exception."""
        self._on_failure = on_failure
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        running = set(self._tasks.values())
        while running:  # again, where an error in somebody's clean-up was taken for an answer and worked on
            for task in running:
                task.cancel()
            running = (await asyncio.wait(running, timeout=_HEARD))[1]

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run a task. Raises ``ValueError`` where one of that name runs."""
        if name in self._tasks:
            work.close()
            raise ValueError(f"task {name} runs already")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    def promise(self, work: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Future[T]":
        """Run a task whose result, or failure, is for whoever awaits what is returned; it may be nobody."""
        promised: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        promised.add_done_callback(lambda future: future.cancelled() or future.exception())

        async def working() -> None:
            try:
                result = await work
            except asyncio.CancelledError:
                promised.cancel()
                raise
            except BaseException as error:  # noqa: BLE001 - told to whoever waits
                promised.set_exception(error)
            else:
                promised.set_result(result)

        self.start(working(), name=name)
        return promised

    def cancel(self, name: str) -> None:
        """Cancel a task if it runs; it ends in its own time."""
        if name in self._tasks:
            self._tasks[name].cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(task.get_name()) is task:
            del self._tasks[task.get_name()]
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._on_failure(task.get_name(), failure)
