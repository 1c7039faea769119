"""Reading, computing and writing at the same time: three stages that hand on through short queues."""

import threading
from collections.abc import Callable, Generator, Iterable
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

Read = TypeVar("Read")
Made = TypeVar("Made")
Item = TypeVar("Item")

_LOOKS_S = 0.1  # how often a waiting stage looks whether another one has ended everything
DEPTH = 2  # results that wait between two stages: one would let a stage wait for each hiccup of the next


class _Ended(Exception):  # noqa: N818 - no error: a stage stops because another one did
    """Another stage has stopped."""


class _Line(Generic[Item]):
    """A queue between two stages, which gives up waiting where `ended` is set. None marks the end."""

    def __init__(self, ended: threading.Event) -> None:
        self._queue: Queue[Item | None] = Queue(DEPTH)
        self._ended = ended

    def put(self, item: Item | None) -> None:
        while not self._ended.is_set():
            try:
                return self._queue.put(item, timeout=_LOOKS_S)
            except Full:
                continue
        raise _Ended

    def __iter__(self) -> Generator[Item, None, None]:
        while not self._ended.is_set():
            try:
                item = self._queue.get(timeout=_LOOKS_S)
            except Empty:
                continue
            if item is None:
                return
            yield item
        raise _Ended


class _Stage(threading.Thread):
    """A stage in a thread of its own; `failure` is what it stopped with. A failure ends all stages."""

    def __init__(self, name: str, work: Callable[[], None], ended: threading.Event) -> None:
        super().__init__(name=f"geocompose-{name}", daemon=True)
        self.failure: BaseException | None = None
        self._work, self._ended = work, ended

    def run(self) -> None:
        """Do the work; what it raises is kept for the thread that waits for it."""
        try:
            self._work()
        except _Ended:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self.failure = error
            self._ended.set()


def overlapped(read: Iterable[Read], make: Callable[[Read], Made], write: Callable[[Made], None]) -> None:
    """Give `write` what `make` makes of each item of `read`, in their order, with all three at work at once.

    `make` runs in the calling thread, so that Ctrl-C reaches it; `read` and `write` in one thread each. At most `DEPTH`
    items wait between two stages, and each stage has one in hand: memory does not depend on how many there are.

    Raises:
        BaseException: what the first failing stage raised. All stages have stopped by then: reading and writing after
            the item that they had in hand.
    """
    ended = threading.Event()
    to_make, to_write = _Line[Read](ended), _Line[Made](ended)

    def reading() -> None:
        for item in read:
            to_make.put(item)
        to_make.put(None)

    def writing() -> None:
        for item in to_write:
            write(item)

    stages = [_Stage("reading", reading, ended), _Stage("writing", writing, ended)]
    for stage in stages:
        stage.start()
    try:
        for item in to_make:
            to_write.put(make(item))
        to_write.put(None)
        _wait(stages)
    except _Ended:
        pass  # a stage has failed, which is raised below
    finally:
        ended.set()
        _wait(stages)
    for stage in stages:
        if stage.failure is not None:
            raise stage.failure


def _wait(stages: Iterable[_Stage]) -> None:
    for stage in stages:
        while stage.is_alive():  # with a time limit, since a plain join can't be interrupted on all systems
            stage.join(_LOOKS_S)
