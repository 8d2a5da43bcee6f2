"""The sparse-masks study run by run: its tables, its folder, resuming after a kill, equal tables however it was run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sparse_tiny import TINY

from automl_theory.errors import InputError, Interrupted
from automl_theory.pruning.budgets import budget
from automl_theory.studies import sparse_masks
from automl_theory.studies.sparse_masks import answers, contents, page, train
from automl_theory.studies.sparse_masks.prune import ROUND, rewinding_path
from automl_theory.studies.sparse_masks.reproduce import default_folder, description, run
from automl_theory.studies.sparse_masks.setup import FULL, QUICK
from automl_theory.studies.sparse_masks.study import Study

TABLES = ("masks", "layers", "dense", "doubled", "grid", "crossings", "degenerating", "followed")
KEYS = ["network", "method", "density", "seed"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run(TINY, tmp_path_factory.mktemp("study") / "run")


def test_public_names_are_where_they_are_said_to_be() -> None:
    assert sparse_masks.run is run
    assert (sparse_masks.FULL, sparse_masks.QUICK, sparse_masks.Study) == (FULL, QUICK, Study)
    assert all(getattr(sparse_masks, name) is not None for name in sparse_masks.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'walk'"):
        _ = sparse_masks.walk


def test_every_mask_has_its_row_and_the_exact_budget(study: Study) -> None:
    masks = study.masks
    wanted = [(n, m, d, s) for n in TINY.networks for m in TINY.methods for d in TINY.densities for s in TINY.seeds]
    assert list(masks[KEYS].itertuples(index=False, name=None)) == wanted
    for row in masks.itertuples():
        assert row.weights == {"conv": 56_224, "mlp": 84_480}[row.network]
        assert row.kept == budget(row.weights, row.density)
    assert masks.groupby("method")["epochs_before"].agg(list).to_dict() == {
        "random": [0] * 4, "snip": [0] * 4, "full_spectrum": [1] * 4, "pretrained_base": [1] * 4,
        "rewound": 2 * [10, 4],
    }  # fmt: skip
    assert (masks["epochs"] == 2).all()
    assert set(masks["status"]) == {"ok"}
    assert masks["test_accuracy"].between(0, 100).all()
    assert masks["converged"].dtype == bool
    assert not masks.columns.duplicated().any()


def test_layers_are_told_in_three_conventions_and_add_up(study: Study) -> None:
    strict = study.layers[study.layers["convention"] == "strict"]
    assert set(study.layers["convention"]) == {"strict", "iclr23", "neurips23"}
    assert len(study.layers) == 3 * len(strict) == 3 * 10 * (4 + 3)
    kept = strict.groupby(KEYS, sort=False)["edges"].sum()
    assert kept.tolist() == study.masks["kept"].tolist()
    assert (strict["ramanujan_gap"].isna() <= (strict["reason"] != "none")).all()
    late = strict["method"].isin(["full_spectrum", "pretrained_base", "rewound"])
    assert (strict.loc[~late, "coordinate_distance_start"].dropna() == 0).all()
    assert (strict.loc[late, "coordinate_distance_start"].dropna() > 0).any()
    assert (strict["coordinate_distance"].dropna() > 0).any()


def test_the_search_has_the_budgets_and_the_head_start_of_its_base(study: Study) -> None:
    strict = study.layers[study.layers["convention"] == "strict"].set_index(["network", "density", "layer"])
    found, base = (strict[strict["method"] == name] for name in ("full_spectrum", "pretrained_base"))
    pd.testing.assert_series_equal(found["edges"], base["edges"])


def test_series_are_there(study: Study) -> None:
    grid, rewired, followed = study.grid, study.degenerating, study.followed
    assert set(grid["method"]) == {"random", "snip"}
    assert len(grid) == 2 * 2 * 2
    assert len(study.crossings) == 2 * 2 * 2
    assert set(rewired["share"]) == {0.0, 1.0}
    assert len(rewired) == 2 * 2 * 7
    edges = rewired.groupby(["network", "density", "layer"])["edges"]
    assert (edges.nunique() == 1).all(), "rewiring keeps the edges"
    assert len(study.doubled) == len(study.masks)
    assert set(followed["mover"]) == {"static", "set", "rigl"}
    assert set(followed["step"]) == {0, 3, 6}
    assert (followed.loc[followed["step"] == 0, "changed"] == 0).all()
    still = followed[followed["mover"] == "static"].groupby(["network", "start"])
    for name in ("changed", "ramanujan_gap", "imdb", "narc"):
        assert (still[name].nunique() == 1).all(), name
    assert (still["weighted_gap"].nunique() == 3).all()
    assert (followed.loc[(followed["mover"] != "static") & (followed["step"] == 6), "changed"] > 0).all()
    start = followed[followed["step"] == 0].groupby(["network", "start"])
    assert (start["weighted_gap"].nunique() == 1).all(), "twins start alike"


def test_folder_holds_everything_and_is_read_again_without_work(study: Study) -> None:
    about = json.loads((study.folder / "run.json").read_text(encoding="utf-8"))
    assert about == study.about == description(TINY)
    before = {path: path.stat().st_mtime_ns for path in study.folder.glob("*.csv")}
    assert {path.stem for path in before} == set(TABLES)
    calls: list[tuple[int, int, int]] = []
    again = run(TINY, study.folder, progress=lambda *state: calls.append(state))
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(study, name), check_exact=True)


SCRIPT = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[2])
from sparse_tiny import TINY
from automl_theory.studies.sparse_masks.reproduce import run
if __name__ == "__main__":
    run(replace(TINY, workers=2), sys.argv[1], progress=lambda *state: None)
"""


def test_killed_with_two_workers_it_goes_on_with_one_to_the_same_tables(study: Study, tmp_path: Path) -> None:
    """kill -9 of the whole group once some masks are there; the second run ends it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path / "run"), str(Path(__file__).parent)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while process.poll() is None and len([*tmp_path.glob("run/pieces-2/*.npz")]) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (tmp_path / "run" / "followed.csv").exists()
    assert not (tmp_path / "run" / "masks.csv").exists(), "it was killed before it was over"
    found = run(TINY, tmp_path / "run")
    for name in TABLES:
        assert (found.folder / f"{name}.csv").read_bytes() == (study.folder / f"{name}.csv").read_bytes(), name


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    def impatient(finished: int, total: int, failed: int) -> None:
        if finished:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"stopped; what is finished is kept in .*run: the same command goes on"):
        run(TINY, tmp_path / "run", progress=impatient)
    assert [*(tmp_path / "run" / "pieces-1").glob("*.npz")]
    assert not list((tmp_path / "run").rglob("*.part"))


def test_folder_of_another_run_is_refused(study: Study) -> None:
    with pytest.raises(InputError, match=r"is a run with epochs 2, not 5; give the same settings .* or name another"):
        run(replace(TINY, epochs=5), study.folder)


def test_each_setup_has_a_folder_of_its_own() -> None:
    assert default_folder(FULL) == default_folder(replace(FULL, workers=7))
    assert default_folder(FULL) != default_folder(replace(FULL, epochs=31))
    assert default_folder(FULL).parent == Path("runs")


def test_nothing_but_outcomes_sees_the_test_part() -> None:
    """The same training images with another test part: masks, weights and measures are the same to the last bit."""
    methods = ("snip", "full_spectrum", "pretrained_magnitude", "rewound")
    found = []
    for samples in (40, 30):
        setup = replace(TINY, networks=("mlp",), densities=(0.3,), methods=methods, test_samples=samples)
        dense = train.dense_tasks(setup)
        pieces = [task.function(task.argument) for task in dense]
        tasks = train.masked_tasks(setup, train.late_of(dense, pieces))
        found.append([*pieces, *(task.function(task.argument) for task in tasks)])
    for one, other in zip(*found, strict=True):
        assert one["test_loss"] != other["test_loss"]
        assert one.keys() == other.keys()
        for name in (name for name in one if not name.startswith(("test_", "doubled/test_"))):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_rounds_of_rewinding_go_through_all_densities() -> None:
    assert rewinding_path((0.1, 0.05)) == pytest.approx((10 ** (-1 / 3), 10 ** (-2 / 3), 0.1, 0.05))
    assert rewinding_path((0.5, 1.0)) == (1.0, 0.5)
    path = rewinding_path(FULL.densities)
    assert set(FULL.densities) <= set(path)
    assert all(a > b >= a / ROUND - 1e-12 for a, b in zip((1.0, *path), path, strict=False))


def test_late_gain_is_that_of_the_last_quarter() -> None:
    assert train.late_gain((10.0, 20.0, 50.0, 51.5)) == 1.5
    assert train.late_gain((10.0, 20.0)) == 10.0
    assert train.late_gain((10.0,)) == 0.0


def test_answers_and_page_of_a_study(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="needs the extra 'report'")
    found = answers.answers(study)
    assert set(found["verdict"]) <= set(answers.VERDICTS)
    assert found["name"].is_unique or not found.duplicated(["section", "name"]).any()
    cells = answers.cell_table(study)
    assert len(cells) == len(study.setup.networks) * len(study.setup.densities) * len(answers.RANKING)
    written = page.write_page(study, found, cells, tmp_path / "page.html").read_text(encoding="utf-8")
    for words in (
        "Which sparse masks train well",
        "figure-accuracy-conv",
        "figure-rewired-mlp",
        "figure-ranks",
        "Rank correlations of every cell",
    ):
        assert words in written
    assert ">nan<" not in written
    assert contents.summary(found)[0].startswith(f"{len(found)} questions: ")
