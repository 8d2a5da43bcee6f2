"""NumPy's matrix routines keep to one thread while a score is read."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import automl_theory as at
from automl_theory.linalg import one_thread
from automl_theory.probing.signals import Signals
from automl_theory.scoring.single import evaluate, needs_of


def threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    assert np.linalg.eigvalsh(np.eye(3)).sum() == 3
    with threadpool_limits(2, user_api="blas"):
        yield


def test_one_thread_within_the_block_and_as_many_as_before_after_it():
    assert threads() == {2}
    with one_thread():
        assert threads() == {1}
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert threads() == {2}


def test_a_block_of_another_thread_leaves_this_one_as_it_is():
    def other() -> None:
        with one_thread():
            pass

    with one_thread():
        worker = threading.Thread(target=other)
        worker.start()
        worker.join()
        assert threads() == {1}
    assert threads() == {2}


def test_a_score_is_read_by_one_thread_and_leaves_them_as_they_were():
    during = []

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    batch = at.load_batch("digits", 8, size=4)
    proxy = at.get_proxy("naswot")

    def watched(signals):
        during.append(threads())
        return proxy.compute(signals)

    spied = type(proxy)("watched", proxy.family, proxy.direction, proxy.unit, watched, proxy.needs)
    signals = Signals(net, batch.x, torch.as_tensor(batch.y), classes=10, needs=needs_of([spied]))
    values, reasons = evaluate(signals, [spied])
    assert not reasons
    assert values["watched"][1] == "ok"
    assert during == [{1}]
    assert threads() == {2}
