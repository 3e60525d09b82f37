"""The safety net under the events: a look now and then, and no more often than that."""

import asyncio
import itertools

import pytest

from agent.observe import relist
from tests.unit.converge import conftest as virtual

pytestmark = pytest.mark.looptime


async def hints(net: relist.Relist, seconds: float, *, looks: bool) -> list[float]:
    """Return when hints came within some seconds; ``looks``: each is followed by a look."""
    begun, moments = asyncio.get_running_loop().time(), []
    try:
        async with asyncio.timeout(seconds):
            async for _ in net.hints():
                moments.append(round(asyncio.get_running_loop().time() - begun, 3))
                if looks:
                    net.done()
    except TimeoutError:
        pass
    return moments


def opened() -> relist.Relist:
    return relist.Relist(10.0, virtual.LoopClock())


async def test_age__before_the_first_look__is_unknown() -> None:
    net = opened()
    assert net.age is None
    net.done()
    await asyncio.sleep(3)
    assert net.age == pytest.approx(3)


async def test_hints__looked_at_each__come_in_the_interval() -> None:
    assert await hints(opened(), 35, looks=True) == [10.0, 20.0, 30.0]


async def test_hints__nobody_looks__come_no_more_often() -> None:
    net = opened()
    net.done()
    moments = await hints(net, 45, looks=False)
    assert moments[0] == 10.0
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(moments))


async def test_hints__looked_for_other_reasons__wait_from_then_on() -> None:
    net = opened()

    async def look() -> None:
        await asyncio.sleep(6)
        net.done()

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        assert await hints(net, 25, looks=True) == [16.0]


async def test_hints__the_last_look_is_too_long_ago_already__come_at_once() -> None:
    net = opened()
    net.done()
    await asyncio.sleep(15)
    assert (await hints(net, 15, looks=True))[0] == 0.0


async def test_hints__a_look_takes_its_time__come_in_the_interval_from_its_beginning() -> None:
    net = opened()
    begun, moments = asyncio.get_running_loop().time(), []
    async for _ in net.hints():
        moments.append(asyncio.get_running_loop().time() - begun)
        net.done()
        await asyncio.sleep(4)
        if len(moments) == 3:
            break
    assert moments == pytest.approx([10.0, 20.0, 30.0], abs=0.1)


async def test_hints__looked_at_a_moment_after_the_beginning__come_a_whole_interval_after_that() -> None:
    net = opened()
    asyncio.get_running_loop().call_later(0.5, net.done)
    assert await hints(net, 11, looks=True) == [10.5]
