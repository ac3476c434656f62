"""Followers see the trainings of their own caller: in its thread, and in those that take its context along."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sparkwater.conversions.sessions.contexts import in_context
from sparkwater.gpu.records import NOBODY, Observer
from sparkwater.ml import follow_fits
from sparkwater.ml.launch.following import follower


def test_trainings_in_the_block_are_followed_and_no_others():
    begun = []
    ours = Observer()

    def begin(epochs):
        begun.append(epochs)
        return ours

    assert follower(1) is NOBODY
    with follow_fits(begin):
        assert follower(2) is ours
        with follow_fits(lambda epochs: NOBODY):
            assert follower(3) is NOBODY
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(follower, 4).result() is NOBODY
    assert follower(5) is NOBODY
    assert begun == [2]


def test_threads_side_by_side_have_the_context_of_their_caller():
    together, begun = Barrier(3, timeout=10), []

    def work(epochs):
        together.wait()
        return follower(epochs)

    with follow_fits(lambda epochs: begun.append(epochs) or NOBODY):
        carried = in_context(work)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(carried, [1, 2, 3]))
    assert sorted(begun) == [1, 2, 3]
