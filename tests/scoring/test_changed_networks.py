"""A store knows a user's networks by name; scores of one network never pass as those of another of that name."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import automl_theory as at
from automl_theory.errors import StoreError
from automl_theory.scoring.failures import failures_of
from automl_theory.scoring.merging import merge
from automl_theory.scoring.store import OtherNetwork, ScoreStore

NAMES = ["naswot", "ntk_trace", "parameters"]
SMALL: dict[str, Any] = {"n": 8, "resolution": 4, "progress": False}


def net(width: int = 8, scale: float = 1.0) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.LeakyReLU(0.1 * scale), nn.Linear(width, 10))


def from_file(path: Path) -> nn.Module:
    """A network whose width, or what is wrong with it, stands in a file."""
    text = path.read_text()
    if text == "broken":
        raise ValueError("no such layer")
    return net(int(text))


def another_each_time(counter: Path) -> nn.Module:
    counter.write_text(str(int(counter.read_text()) + 1))
    return net(int(counter.read_text()))


class Noisy(nn.Module):
    """Draws a buffer when it is made, and noise when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(48, 10)
        self.register_buffer("signs", torch.randn(48).sign())

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1) * self.signs
        return self.fc(torch.relu(x + 0.1 * torch.randn_like(x)))


def score(store: Path | None, factories: dict[str, Callable[..., nn.Module]], **settings: Any) -> pd.DataFrame:
    return at.score_space(factories, NAMES, store=store, **{**SMALL, **settings})


def test_a_changed_factory_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    first = score(store, {"a": functools.partial(net, 8), "b": functools.partial(net, 16)})
    changed = {"a": functools.partial(net, 8), "b": functools.partial(net, 17)}
    for workers in (0, 1):
        with pytest.raises(StoreError) as caught:
            score(store, changed, workers=workers)
    said = str(caught.value)
    assert "\n" not in said
    assert "expected the network 'b' whose scores" in said
    assert "(Sequential, 954 parameters, " in said
    assert "is another one now (Sequential, 1013 parameters, " in said
    assert said.endswith("give it another name, or use another --store")
    with pytest.raises(StoreError, match=r"'b'.*is another one now"):
        score(store, changed, seeds=2)
    pd.testing.assert_frame_equal(score(store, {"a": functools.partial(net, 8)}), first.loc[["a"]], check_exact=True)
    grown = score(store, {"a": functools.partial(net, 8), "b": functools.partial(net, 16), "c": net}, workers=1)
    pd.testing.assert_frame_equal(grown.loc[["a", "b"]], first, check_exact=True)


def test_a_change_that_no_shape_tells_of(tmp_path: Path) -> None:
    score(tmp_path / "s.db", {"a": functools.partial(net, 8, 1.0)})
    with pytest.raises(StoreError, match=r"'a'.*is another one now"):
        score(tmp_path / "s.db", {"a": functools.partial(net, 8, 2.0)})


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # the status and its reason are looked at
def test_what_failed_may_be_mended_under_its_name(tmp_path: Path) -> None:
    store, width = tmp_path / "s.db", tmp_path / "width"
    factories = {"a": functools.partial(from_file, width)}
    width.write_text("broken")
    assert score(store, factories)["ntk_trace_status"].tolist() == ["failed"]
    width.write_text("8")
    assert score(store, factories)["ntk_trace_status"].tolist() == ["failed"]
    mended = score(store, factories, retry_failed=True)
    assert mended["ntk_trace_status"].tolist() == ["ok"]
    width.write_text("broken")
    with pytest.raises(StoreError, match=r"scores of 'a', which cannot be built now.*no such layer.*; mend it, or"):
        score(store, factories)
    width.write_text("9")
    with pytest.raises(OtherNetwork):
        score(store, factories, retry_failed=True)
    width.write_text("8")
    pd.testing.assert_frame_equal(score(store, factories), mended, check_exact=True)


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # the status and its reason are looked at
def test_a_factory_that_returns_another_network_each_time_costs_its_own_status(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("3")
    factories = {"other": functools.partial(another_each_time, tmp_path / "counter"), "same": net}
    table = score(tmp_path / "s.db", factories, seeds=2)
    assert table["ntk_trace_status"].tolist() == ["failed", "ok"]
    ((arch, seed, why),) = failures_of(tmp_path / "s.db")
    assert (arch, seed) == ("other", 1)
    assert why.startswith("its function returns another network than before: expected the network 'other'")


def test_what_a_network_draws_depends_on_its_name_and_the_seed_alone(tmp_path: Path) -> None:
    """Not on what was scored before it, nor on the process, nor on the state of the caller's generator."""
    factories = {"a": Noisy, "b": Noisy, "c": net}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = score(tmp_path / "s.db", factories, seeds=2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    alone = score(None, {"b": Noisy}, seeds=2)
    workers = score(tmp_path / "w.db", factories, seeds=[1, 0], workers=2)
    pd.testing.assert_frame_equal(alone, first.loc[["b"]], check_exact=True)
    pd.testing.assert_frame_equal(workers[first.columns], first, check_exact=True)
    assert first.loc["a", "ntk_trace"] != first.loc["b", "ntk_trace"]
    pd.testing.assert_frame_equal(score(tmp_path / "s.db", factories, seeds=2), first, check_exact=True)


def test_merging_two_networks_of_one_name_is_refused(tmp_path: Path) -> None:
    score(tmp_path / "1.db", {"a": net, "b": net})
    score(tmp_path / "2.db", {"a": functools.partial(net, 9)}, seeds=[2])
    score(tmp_path / "3.db", {"a": net}, seeds=[1])
    merge(tmp_path / "all.db", [tmp_path / "1.db", tmp_path / "3.db"])
    whole = score(tmp_path / "all.db", {"a": net, "b": net}, seeds=1)
    pd.testing.assert_frame_equal(whole, score(tmp_path / "1.db", {"a": net, "b": net}), check_exact=True)
    before = (tmp_path / "all.db").read_bytes()
    with pytest.raises(OtherNetwork, match=r"expected the network 'a' whose scores .*all\.db holds"):
        merge(tmp_path / "all.db", [tmp_path / "2.db"])
    assert (tmp_path / "all.db").read_bytes() == before


def test_scores_that_do_not_say_of_which_network_are_not_gone_on_with(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    score(store, {"a": net})
    with sqlite3.connect(store) as db:
        db.execute("DELETE FROM meta WHERE kind = 'network'")
    db.close()
    with pytest.raises(StoreError, match=r"holds \(unknown\), but it is another one now"):
        score(store, {"a": net})


def test_a_space_whose_strings_say_it_all_is_not_built_again(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []
    options: dict[str, Any] = {"n": 8, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}
    for _ in range(2):
        at.score_space("nas_bench_201", ["naswot"], sample=2, store=tmp_path / "s.db", **options)
    at.score_space("nas_bench_201", ["naswot"], sample=2, store=tmp_path / "s.db", workers=2,
                   progress=lambda *state: calls.append(state), **options)  # fmt: skip
    assert calls == [(2, 2, 0)]
    with ScoreStore.existing(tmp_path / "s.db") as store:
        assert store._meta("network") == {}
