from __future__ import annotations

import io
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import nn

import automl_theory as at
from automl_theory.errors import AutoMLTheoryError, FailedScores, InputError, Interrupted, StoreError
from automl_theory.progress import PATIENCE_SECONDS, ProgressLine, duration, reporting, speed
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.store import ScoreStore
from automl_theory.spaces import ModuleSpace

TINY: dict[str, Any] = {"n": 8, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}
NAMES = ["parameters", "ntk_lambda_min", "naswot", "ntk_regression_error"]
CELLS = at.space("nas_bench_201")


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 10))


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))


def broken() -> nn.Module:
    raise ValueError("no such layer\nin this network")


def out_of_memory() -> nn.Module:
    raise MemoryError


def nothing() -> Any:
    return None


IMAGES: dict[str, Any] = {"n": 8, "resolution": 4}


def score_modules(factories: Any, **settings: Any) -> pd.DataFrame:
    return at.score_space(factories, NAMES, **{**IMAGES, "progress": False, **settings})


def test_the_table_agrees_with_scoring_each_network_by_itself() -> None:
    archs = CELLS.sample(2, 0)
    table = at.score_space(CELLS, NAMES, architectures=archs, seeds=[1, 4], **TINY)
    batch = at.load_batch("digits", 8, 0, size=8)
    for arch in archs:
        values = []
        for seed in (1, 4):
            net = CELLS.build(arch, seed=seed, **TINY["network"])
            values.append(at.score(net, batch.x, batch.y, NAMES))
        for name in NAMES[1:]:
            first, second = (scores[name] for scores in values)
            assert table.loc[arch, name] == pytest.approx((first + second) / 2, rel=1e-6)
            assert table.loc[arch, f"{name}_std"] == pytest.approx(
                abs(first - second) / math.sqrt(2), rel=1e-3, abs=1e-9
            )
    assert table.index.tolist() == archs
    assert table.attrs["settings"]["network"] == {**TINY["network"], "in_channels": 3, "num_classes": 10}
    assert table.attrs["settings"]["digest"] == batch.digest
    assert table.attrs["environment"]["threads_per_worker"] == "1"


def test_strings_of_one_class_are_scored_once_and_share_everything_but_their_sizes() -> None:
    plain = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    dead = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|none~2|"
    calls: list[tuple[int, int, int]] = []
    table = at.score_space(
        CELLS, NAMES, architectures=[dead, plain], progress=lambda *state: calls.append(state), **TINY
    )
    assert calls == [(0, 1, 0), (1, 1, 0)]
    assert table.index.tolist() == [dead, plain]
    assert table["canonical"].nunique() == 1
    for name in NAMES[1:]:
        assert table[name].nunique() == 1
    assert table["parameters"].tolist() == [
        CELLS.size_metrics(arch, **TINY["network"], resolution=8)["parameters"] for arch in (dead, plain)
    ]
    assert table["parameters"].nunique() == 2


def test_a_sample_is_of_classes_or_of_strings() -> None:
    classes = at.score_space(CELLS, "parameters", sample=30, sample_seed=2, **TINY)
    strings = at.score_space(CELLS, "parameters", sample=30, sample_seed=2, strings=True, **TINY)
    assert (classes["canonical"] == classes.index).all()
    assert (strings["canonical"] != strings.index).any()
    assert classes.index.tolist() == CELLS.sample(30, 2)
    assert strings.index.tolist() == CELLS.sample(30, 2, canonical=False)


def test_a_disconnected_cell_is_a_status_and_is_never_built() -> None:
    none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    table = at.score_space(CELLS, "core", architectures=[none], **TINY)
    assert table.loc[none, "ntk_lambda_min_status"] == "disconnected"
    assert math.isnan(table.loc[none, "ntk_lambda_min"])
    assert table.loc[none, "depth"] == 0
    assert table.loc[none, "parameters"] > 0


def test_a_store_is_not_scored_again_and_grows_by_seeds_and_proxies(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []

    def run(names: list[str], seeds: int, **more: Any) -> pd.DataFrame:
        calls.clear()
        store = tmp_path / "new" / "folder" / "s.db"
        options: dict[str, Any] = {**TINY, "store": store, "progress": lambda *s: calls.append(s), **more}
        return at.score_space(CELLS, names, sample=3, seeds=seeds, **options)

    first = run(["naswot"], 1)
    assert calls == [(0, 3, 0), (1, 3, 0), (2, 3, 0), (3, 3, 0)]
    pd.testing.assert_frame_equal(run(["naswot"], 1), first, check_exact=True)
    assert calls == [(3, 3, 0)]
    run(["naswot"], 2)
    assert [finished for finished, _, _ in calls] == [3, 4, 5, 6]
    run(["naswot", "ntk_trace"], 2)
    assert [finished for finished, _, _ in calls] == [0, 1, 2, 3, 4, 5, 6]
    again = run(["naswot"], 1)
    pd.testing.assert_frame_equal(again, first, check_exact=True)


def test_shards_score_their_part(tmp_path: Path) -> None:
    whole = at.score_space(CELLS, ["naswot"], sample=5, **TINY)
    parts = [at.score_space(CELLS, ["naswot"], sample=5, shard=(i, 2), **TINY) for i in (1, 2)]
    assert [len(part) for part in parts] == [3, 2]
    pd.testing.assert_frame_equal(pd.concat(parts).loc[whole.index], whole, check_exact=True)
    with pytest.raises(InputError, match="use at most 5 shards"):
        at.score_space(CELLS, ["naswot"], sample=5, shard="6/6", **TINY)


def test_networks_of_ones_own_and_what_can_fail_in_them() -> None:
    calls: list[tuple[int, int, int]] = []
    factories = {"small": small, "broken": broken, "memory": out_of_memory, "nothing": nothing, "wide": wide}
    told = r"3 of 5 architectures failed, 'broken' under seed 0: .*; attrs\['failures'\] of the table has every reason"
    with pytest.warns(FailedScores, match=told) as seen:
        table = score_modules(factories, seeds=2, progress=lambda *state: calls.append(state))
    assert seen[0].filename == __file__, "the warning names the caller's line"
    assert [failure[:2] for failure in table.attrs["failures"]] == [
        (name, seed) for name in ("broken", "memory", "nothing") for seed in (0, 1)
    ]
    assert table.attrs["failures"][4][2].endswith("it returned NoneType; let it end in `return net`")
    assert calls[-1] == (10, 10, 6)
    assert table.index.tolist() == list(factories)
    assert table["ntk_lambda_min_status"].tolist() == ["ok", "failed", "failed", "failed", "ok"]
    assert table.loc["small", "parameters"] == 48 * 8 + 8 + 8 * 10 + 10
    assert table.loc["small", "parameters_std"] == 0
    alone = score_modules([small], seeds=2)
    assert alone.attrs["failures"] == []
    assert alone.loc["0", NAMES].tolist() == table.loc["small", NAMES].tolist()
    assert at.graph_metrics(at.space(factories)).isna().any(axis=None)


def sized(width: int = 8) -> nn.Module:
    if width > 100:
        raise ValueError("too wide")
    return nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.ReLU(), nn.Linear(width, 10))


def test_settings_of_ones_own_networks() -> None:
    assert score_modules([sized], network={"width": 5}).loc["0", "parameters"] == 49 * 5 + 6 * 10
    with pytest.raises(InputError, match=r"'0' does not take network={'width': 5} \(got an unexpected .*; change it"):
        score_modules([small], network={"width": 5})
    with pytest.warns(FailedScores, match="'0' under seed 0: ValueError: too wide"):
        assert score_modules([sized], network={"width": 101})["naswot_status"].tolist() == ["failed"]


class Faulty(ModuleSpace):
    """A plug-in's space with a bug inside `build`."""

    def build(self, arch: str, *, depth: int = 1, seed: int = 0, init: str | None = None) -> nn.Module:
        return super().build(arch, seed=seed + "1", init=init)  # a text and a number


class Seedless(ModuleSpace):
    """A space whose `build` forgets what it owes."""

    def build(self, arch: str, depth: int = 1) -> nn.Module:
        return super().build(arch)


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # the status and its reason are looked at
def test_a_bug_inside_build_is_told_as_what_it_is(tmp_path: Path) -> None:
    asked: dict[str, Any] = {**IMAGES, "proxies": ["naswot"], "network": {"depth": 2}}
    table = at.score_space(Faulty([small], "faulty"), store=tmp_path / "s.db", **asked)
    assert table["naswot_status"].tolist() == ["failed"]
    with ScoreStore.existing(tmp_path / "s.db") as kept:
        assert kept.read_runs()["detail"].item().startswith("TypeError: unsupported operand type(s) for +")
    with pytest.raises(InputError, match=r"build of space 'seedless' cannot be called with .*argument 'seed'"):
        at.score_space(Seedless([small], "seedless"), **asked)


def test_lambdas_in_this_process_and_in_workers() -> None:
    net = small()
    factories = [lambda: net, lambda: wide()]
    assert score_modules(factories)["naswot"].notna().all()
    with pytest.raises(InputError, match="or use workers=0") as caught:
        score_modules(factories, workers=1)
    assert "\n" not in str(caught.value)


def test_a_measurement_or_its_fields_and_bad_ones(tmp_path: Path) -> None:
    table = at.score_space(CELLS, ["naswot"], sample=1, measurement=Measurement(**TINY))
    pd.testing.assert_frame_equal(at.score_space(CELLS, ["naswot"], sample=1, **TINY), table, check_exact=True)
    store = tmp_path / "sub" / "s.db"
    for options, text in (
        ({"measurement": Measurement(**TINY), "bn": "batch"}, "put everything in the measurement"),
        ({"batch_norm": "frozen"}, "no setting 'batch_norm'"),
        ({"network": {"channel": 4}}, r"it has: channels, cells_per_stage, .*\. Did you mean 'channels'"),
        ({"network": {"seed": 4}}, "'seed' comes from the run; give it there"),
        ({"network": {"in_channels": 1}}, "reads 1 channels and the images have 3; give in_channels=1 beside network"),
        ({"store": 3}, "store=3 is no path .*; give the name of a file"),
        ({"store": "a\0b"}, "is no path .*; give the name of a file"),
        ({"store": "x" * 5000}, "File name too long; use another store"),
        ({"network": {"channels": 0}}, "channels to be an integer of at least 1"),
        ({"resolution": 10}, "multiple of 4"),
        ({"threads": 0}, "threads=0"),
        ({"workers": -1}, "give 0"),
        ({"seeds": 0}, "positive number of seeds"),
        ({"sample": 0}, "give 1 to 5260"),
        ({"architectures": ["|x~0|"]}, "position 1"),
    ):
        with pytest.raises((InputError, StoreError), match=text):
            at.score_space(CELLS, ["naswot"], **{**TINY, "store": store, **options})
    assert not store.parent.exists()
    with pytest.raises(InputError, match="measurement must be a Measurement, got dict; give its fields by name"):
        at.score_space(CELLS, ["naswot"], measurement={"n": 8})
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make the folder"):
        at.score_space(CELLS, ["naswot"], sample=1, store=tmp_path / "file" / "sub" / "s.db", **TINY)


def test_data_of_the_caller_and_their_settings() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 1, 12, 12)), np.arange(20) % 3
    table = at.score_space(CELLS, ["naswot"], (x, y), sample=1, **TINY)
    assert table.attrs["settings"]["network"]["num_classes"] == 3
    assert "values as given" in table.attrs["settings"]["source"]


@pytest.mark.parametrize("stored", [True, False])
def test_interrupting_says_what_is_kept_and_how_to_go_on(tmp_path: Path, stored: bool) -> None:
    def interrupt(finished: int, total: int, failed: int) -> None:
        if finished == 2:
            raise KeyboardInterrupt

    store = tmp_path / "s.db" if stored else None
    text = "kept in .*s.db: the same command goes on" if stored else "nothing was kept: name a store"
    with pytest.raises(Interrupted, match=f"stopped after 2 of 4 scores; .*{text}"):
        at.score_space(CELLS, ["naswot"], sample=4, store=store, progress=interrupt, **TINY)
    if store:
        with ScoreStore.existing(store) as kept:
            assert len(kept.read()) == 2


def test_threads_are_given_back_and_fixed_in_this_process_too() -> None:
    from threadpoolctl import threadpool_info

    torch.set_num_threads(2)
    seen: list[set[int]] = []
    try:
        before = threadpool_info()

        def look(finished: int, total: int, failed: int) -> None:
            if finished:
                blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
                seen.append(blas | {torch.get_num_threads()})

        at.score_space(CELLS, ["naswot"], sample=1, progress=look, **TINY)
        assert seen == [{1}]
        assert torch.get_num_threads() == 2
        assert threadpool_info() == before
    finally:
        torch.set_num_threads(1)


def test_a_worker_that_cannot_start_is_one_error_and_names_workers_0(tmp_path: Path) -> None:
    class Elsewhere:
        def __reduce__(self) -> Any:
            return (exec, ("raise RuntimeError('not here')",))

        def __call__(self) -> nn.Module:
            return small()

    with pytest.raises(AutoMLTheoryError, match="workers=0"):
        score_modules([Elsewhere()], workers=1)


class Terminal:
    """A stream that says it is a terminal, and keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_progress_by_default_on_a_terminal_and_only_over_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", terminal)
    at.score_space(CELLS, ["naswot"], sample=1, **TINY)
    assert terminal.text == ""
    with reporting(None, "waiting") as told:
        assert isinstance(told, ProgressLine)
        told(1, 5, 0)
        told.start -= PATIENCE_SECONDS
        told(2, 5, 0)
        time.sleep(0.2)
        told(3, 5, 1)
    assert "3/5" in terminal.text
    assert "1 failed" in terminal.text
    assert "1 of them before" in terminal.text
    at.score_space(CELLS, ["naswot"], sample=1, progress=False, **TINY)
    length = len(terminal.text)
    at.score_space(CELLS, ["naswot"], sample=1, progress=True, **TINY)
    assert "scoring nas_bench_201: 1/1 in 0 s" in terminal.text[length:]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_total_that_nobody_knows_is_not_shown(terminal: bool) -> None:
    stream = io.StringIO()
    with ProgressLine(Console(file=stream, force_terminal=terminal, width=90), "searching") as told:
        for finished in range(3):
            time.sleep(0.15)
            told(finished, 0, 0)
    last = stream.getvalue().splitlines()[-1]
    assert re.search(r"searching: 2 in \d s \(.*/s\)", last)
    assert "left" not in stream.getvalue()
    assert ("2/?" in stream.getvalue()) == terminal


def test_no_progress_by_default_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(None, "waiting") as told:
        assert not isinstance(told, ProgressLine)
        told(1, 2, 0)
    at.score_space(CELLS, ["naswot"], sample=1, progress=True, **TINY)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("scoring nas_bench_201: 1/1 in ")


def test_words_of_progress() -> None:
    assert [duration(s) for s in (0.4, 42, 185, 3720)] == ["0 s", "42 s", "3 min 05 s", "1 h 02 min"]
    assert [speed(r) for r in (123.4, 4.406, 0.5, 0.155)] == ["123/s", "4.41/s", "0.5/s", "9.3/min"]
