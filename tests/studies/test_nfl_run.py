"""The study run by run: its folder, resuming after a kill, equal tables whatever happened on the way."""

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

from automl_theory.errors import InputError, Interrupted
from automl_theory.studies import folder as kept
from automl_theory.studies import no_free_lunch
from automl_theory.studies.no_free_lunch.reproduce import default_folder, description, inputs, run
from automl_theory.studies.no_free_lunch.setup import FULL, QUICK, Setup
from automl_theory.studies.no_free_lunch.study import Study

CODES = ("0_00_200", "1_01_222", "1_11_121", "1_22_221", "2_02_002", "2_21_112", "2_22_221")
TINY = Setup(
    codes=CODES, train_samples=200, width=8, epochs=4, seeds=(0, 1), measure_width=16, measure_inputs=12,
    measure_seeds=2, points=16, pruning=(0.0, 0.5), workers=1,
)  # fmt: skip
TABLES = ("graph", "exact", "measured", "trained", "extras", "warnings", "claims")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run(TINY, tmp_path_factory.mktemp("study") / "run")


def test_setups_are_the_papers_and_a_look() -> None:
    assert len(FULL.architectures()) == 541
    assert len(QUICK.architectures()) == 94
    assert len(FULL.seeds) >= 3
    assert FULL.width >= 64
    assert set(QUICK.architectures()) <= set(FULL.architectures())
    assert Setup(codes=("2_02_002", "1_11_121", "2_02_002")).architectures() == ("1_11_121", "2_02_002")
    assert "workers" not in FULL.settings()
    assert json.loads(json.dumps(QUICK.settings())) == QUICK.settings()


def test_public_names_are_where_they_are_said_to_be() -> None:
    assert no_free_lunch.run is run
    assert (no_free_lunch.FULL, no_free_lunch.QUICK, no_free_lunch.Study) == (FULL, QUICK, Study)
    assert all(getattr(no_free_lunch, name) is not None for name in no_free_lunch.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'walk'"):
        _ = no_free_lunch.walk


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "expected epochs to be an integer of at least 1, got 0; give 1 or more"),
        ({"workers": 0}, "expected workers to be an integer of at least 1, got 0"),
        ({"width": True}, "expected width to be an integer of at least 1, got True"),
        ({"learning_rate": 0.0}, "expected learning_rate above 0, got 0.0"),
        ({"seeds": ()}, r"expected one or more distinct seeds, got \(\)"),
        ({"seeds": (1, 1)}, r"expected one or more distinct seeds, got \(1, 1\)"),
        ({"seeds": (-1,)}, "expected a seed to be an integer of at least 0, got -1"),
        ({"codes": "some"}, "expected codes 'all', 'classes' or a tuple of them, got 'some'"),
        ({"codes": ("0_00_000",)}, r"'0_00_000' is degenerate \(disconnected\)"),
        ({"codes": ("1_00_000", "2_02_003")}, "degenerate|position|digit"),
    ],
)
def test_bad_setups_are_one_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Setup(**given)


def test_inputs_are_balanced_images_of_the_training_part_with_norm_one() -> None:
    x, y, classes = inputs(TINY)
    assert (x.shape, classes) == ((12, 64), 10)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-12)
    assert len(y) == 12
    assert np.bincount(y, minlength=10).max() <= 2
    everything, _, _ = inputs(replace(TINY, measure_inputs=200))
    assert len(everything) == 200
    with pytest.raises(InputError, match="expected measure_inputs of at most 200, the training samples, got 201"):
        inputs(replace(TINY, measure_inputs=201))


def test_tables_keep_the_contract(study: Study) -> None:
    assert list(study.graph["arch"]) == list(TINY.architectures())
    assert list(study.exact["arch"]) == list(TINY.architectures())
    keys = sorted((arch, seed) for arch in TINY.architectures() for seed in (0, 1))
    assert sorted(study.measured[["arch", "seed"]].itertuples(index=False, name=None)) == keys
    assert sorted(study.trained[["arch", "seed"]].itertuples(index=False, name=None)) == keys
    assert study.trained["status"].isin(["ok", "diverged"]).all()
    assert study.curves["loss"].shape == study.curves["accuracy"].shape == (len(keys), TINY.epochs)
    assert list(zip(study.curves["arch"], study.curves["seed"], strict=True)) == list(
        study.trained[["arch", "seed"]].itertuples(index=False, name=None)
    )
    assert set(study.warnings["warning"]) == {"curvature", "stem", "condition"}
    assert {"single", "wide", "deep"} <= set(study.extras["network"])
    assert set(study.table["verdict"]) <= {"agree", "differ", "cannot tell"}
    assert len(study.claims) == len(study.table) > 20
    assert study.summary


def test_folder_holds_everything_and_is_read_again_without_work(study: Study) -> None:
    assert {f"{name}.csv" for name in TABLES} | {"curves.npz", "run.json"} <= {p.name for p in study.folder.iterdir()}
    about = json.loads((study.folder / "run.json").read_text(encoding="utf-8"))
    assert about == study.about == description(TINY)
    assert about["settings"]["epochs"] == 4
    before = {path: path.stat().st_mtime_ns for path in study.folder.glob("*.csv") if path.name != "claims.csv"}
    calls: list[tuple[int, int, int]] = []
    again = run(TINY, study.folder, progress=lambda *state: calls.append(state))
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    pd.testing.assert_frame_equal(again.table, study.table)
    pd.testing.assert_frame_equal(again.trained, study.trained)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from test_nfl_run import TINY
from automl_theory.studies.no_free_lunch.reproduce import run
if __name__ == "__main__":
    run(TINY, sys.argv[1], progress=lambda *state: print(*state, flush=True))
"""


def test_killed_in_training_it_goes_on_to_the_same_tables(study: Study, tmp_path: Path) -> None:
    """kill -9 of the whole group once a part of the training is there; the second run ends it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path / "run"), str(Path(__file__).parent)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wanted, end = tmp_path / "run" / "training", time.monotonic() + 120
    while process.poll() is None and not list(wanted.rglob("*.npz")) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / "claims.csv").exists(), "it was killed before it was over"
    assert (tmp_path / "run" / "measured.csv").exists()
    found = run(TINY, tmp_path / "run")
    for name in TABLES:
        assert (found.folder / f"{name}.csv").read_bytes() == (study.folder / f"{name}.csv").read_bytes(), name
    np.testing.assert_array_equal(found.curves["loss"], study.curves["loss"])


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    def impatient(finished: int, total: int, failed: int) -> None:
        if finished:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"stopped; what is finished is kept in .*run: the same command goes on"):
        run(TINY, tmp_path / "run", progress=impatient)
    assert {"run.json", "graph.csv", "exact.csv"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert not list((tmp_path / "run").glob("*.part"))


def test_folder_of_another_run_is_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a run with epochs 4, not 5; give the same settings .* or name another"):
        run(replace(TINY, epochs=5), study.folder)
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match="holds other files, and is no run of this study; name another folder"):
        run(TINY, tmp_path)
    with pytest.raises(InputError, match=r"cannot use .*letter.txt for a run"):
        run(TINY, tmp_path / "letter.txt")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot be read .*name another folder"):
        run(TINY, tmp_path / "broken")


def test_broken_tables_are_named_with_the_remedy(study: Study, tmp_path: Path) -> None:
    for read, name in ((kept.table, "t.csv"), (kept.arrays, "c.npz"), (kept.numbers, "n.json")):
        (tmp_path / name).write_bytes(b"\x00\xff\xfe")
        with pytest.raises(InputError, match=f"{name} cannot be read .*; remove it, and it is made again"):
            read(tmp_path / name, dict)


def test_tables_come_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = pd.DataFrame(
        {
            "arch": ["0_00_200", "1_11_121"],
            "x": rng.normal(size=2),
            "y": [np.nan, np.inf],
            "n": [1, 2],
            "b": [True, False],
        }
    )
    back = kept.table(tmp_path / "t.csv", lambda: made)
    pd.testing.assert_frame_equal(back, made, check_exact=True)
    pd.testing.assert_frame_equal(kept.table(tmp_path / "t.csv", pd.DataFrame), made, check_exact=True)


def test_each_setup_has_a_folder_of_its_own() -> None:
    assert default_folder(FULL) == default_folder(replace(FULL, workers=7))
    assert default_folder(FULL) != default_folder(replace(FULL, epochs=3))
    assert default_folder(FULL).parent == Path("runs")


def test_a_run_killed_at_its_first_file_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".run.json.123.part").write_text("{")
    assert kept.open_folder(tmp_path, {"study": "no_free_lunch"}) == tmp_path
    (tmp_path / "run.json").unlink()
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files, and is no run of this study"):
        kept.open_folder(tmp_path, {"study": "no_free_lunch"})


def test_settings_of_one_name_in_two_sections_are_two(tmp_path: Path) -> None:
    kept.open_folder(tmp_path, {"settings": {"size": (1, 2)}, "data": {"size": 3}})
    kept.open_folder(tmp_path, {"settings": {"size": (1, 2)}, "data": {"size": 3}})
    with pytest.raises(InputError, match=r"size \[1, 2\], not \[1\]"):
        kept.open_folder(tmp_path, {"settings": {"size": (1,)}, "data": {"size": 3}})


def test_numbers_that_are_no_object_are_named(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text("[1]")
    with pytest.raises(InputError, match="it holds no JSON object"):
        kept.numbers(tmp_path / "seconds.json", dict)
