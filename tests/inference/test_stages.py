"""Reading, computing and writing at the same time: in order, bounded, and ended by the first failure."""

import threading
import time

import pytest

from geocompose.inference.stages import DEPTH, overlapped


def test_every_item_goes_through_in_order():
    written = []
    overlapped(range(50), lambda number: number * 2, written.append)
    assert written == [2 * number for number in range(50)]


def test_the_three_stages_are_in_three_threads_and_the_model_in_the_caller_s():
    places = {}  # threads themselves: their numbers are given anew to later ones

    def read():
        places["read"] = threading.current_thread()
        yield 1

    def make(item):
        places["make"] = threading.current_thread()
        return item

    overlapped(read(), make, lambda item: places.setdefault("write", threading.current_thread()))
    assert places["make"] is threading.current_thread()
    assert len(set(places.values())) == 3


def test_all_stages_work_at_the_same_time():
    # Each stage waits for the two others to have begun a later or earlier item: one after the other, they would wait
    # until the barrier breaks.
    together = threading.Barrier(3)

    def read():
        yield from range(2)
        together.wait(60)  # while item 1 is made and item 0 is written
        yield 2

    def make(item):
        if item == 1:
            together.wait(60)
        return item

    def write(item):
        if item == 0:
            together.wait(60)

    overlapped(read(), make, write)


@pytest.mark.parametrize("slow", ["make", "write"])
def test_few_items_wait_whichever_stage_is_slow(slow):
    begun, ended, most = 0, 0, 0

    def read():
        nonlocal begun
        for _ in range(30):
            begun += 1
            yield 0

    def make(item):
        time.sleep(0.005 if slow == "make" else 0)
        return item

    def write(item):
        nonlocal ended, most
        time.sleep(0.005 if slow == "write" else 0)
        most = max(most, begun - ended)
        ended += 1

    overlapped(read(), make, write)
    assert ended == 30
    assert most <= 2 * DEPTH + 3  # two queues, and an item in the hand of each stage


class OddError(Exception):
    """What a stage of a test stops with."""


@pytest.mark.parametrize("failing", ["read", "make", "write"])
@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt])
def test_the_first_failure_of_any_stage_is_raised_and_ends_all(failing, error):
    written, threads = [], threading.active_count()

    def fail_at_3(stage, item):
        if stage == failing and item == 3:
            raise error("here")
        return item

    def read():
        for item in range(1000):
            yield fail_at_3("read", item)

    with pytest.raises(error, match="here"):
        overlapped(read(), lambda item: fail_at_3("make", item), lambda item: written.append(fail_at_3("write", item)))
    assert written == list(range(len(written)))
    assert len(written) <= 3
    assert threading.active_count() == threads
