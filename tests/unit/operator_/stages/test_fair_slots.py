"""Slots that no namespace can take all of."""

from __future__ import annotations

import asyncio

import pytest

from fedjob_operator.stages.fair_slots import FairSlots


async def ask(slots: FairSlots, *namespaces: str) -> list[asyncio.Task[None]]:
    """Asks for a slot for each; those that are granted are done."""
    tasks = [asyncio.create_task(slots.acquire(each)) for each in namespaces]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def give_up(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("total", "shares"), [(8, [4, 2, 1, 1]), (4, [2, 1, 1]), (3, [2, 1]), (1, [1])]
)
def test_each_namespace_leaves_room_for_the_next(total: int, shares: list[int]) -> None:
    async def run() -> list[int]:
        slots = FairSlots(total)
        waiting = []
        for number in range(len(shares)):
            waiting += await ask(slots, *[f"n{number}"] * 10)
        taken = [slots.taken_by(f"n{number}") for number in range(len(shares))]
        await give_up(waiting)
        return taken

    assert asyncio.run(run()) == shares


def test_free_slot_goes_to_the_namespace_that_holds_the_fewest() -> None:
    async def run() -> None:
        slots = FairSlots(4)
        first = await ask(slots, "a", "a", "b", "c", "a", "d")
        assert [task.done() for task in first] == [True, True, True, True, False, False]
        slots.release("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [task.done() for task in first[4:]] == [False, True]
        await give_up(first)

    asyncio.run(run())


def test_slots_of_one_namespace_go_in_turn() -> None:
    async def run() -> None:
        slots = FairSlots(2)
        first, second, third = await ask(slots, "a", "a", "a")
        assert [first.done(), second.done(), third.done()] == [True, False, False]
        slots.release("a")
        await second
        assert not third.done()
        slots.release("a")
        await third

    asyncio.run(run())


def test_cancelled_wait_takes_no_slot() -> None:
    async def run() -> None:
        slots = FairSlots(1)
        (first,) = await ask(slots, "a")
        waiting = await ask(slots, "b")
        await give_up(waiting)
        slots.release("a")
        assert (slots.taken_by("a"), slots.taken_by("b")) == (0, 0)
        await first
        await slots.acquire("c")
        (granted,) = await ask(slots, "d")
        slots.release("c")
        granted.cancel()  # it has the slot, and has not run since
        await asyncio.gather(granted, return_exceptions=True)
        assert slots.taken_by("d") == 0
        await slots.acquire("e")

    asyncio.run(run())


def test_slot_of_a_block_is_given_back_when_it_fails() -> None:
    slots = FairSlots(1)

    async def fail() -> None:
        async with slots.slot("a"):
            assert slots.taken_by("a") == 1
            raise ValueError("in it")

    with pytest.raises(ValueError, match="in it"):
        asyncio.run(fail())
    assert slots.taken_by("a") == 0
