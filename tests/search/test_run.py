"""Budgets, resuming, workers and the place of what is found."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from automl_theory.data import load_batch
from automl_theory.errors import FailedScores, InputError
from automl_theory.proxies import REGISTRY
from automl_theory.search.journal import Journal
from automl_theory.search.objective import Objective
from automl_theory.search.place import places, summary
from automl_theory.search.random_search import random_search
from automl_theory.search.repeat import repeat
from automl_theory.search.request import ALGORITHMS, prepare
from automl_theory.search.run import IDLE, Found, run, search
from automl_theory.search.variation import Variables
from automl_theory.spaces import space
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.nas_bench_101 import NasBench101

SMALL: dict[str, Any] = {"n": 10, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}
OPTIONS = {"evolution": {"population": 3, "tournament": 2, "warm_up": 4}, "nsga2": {"population": 3}, "random": {}}


def what(found: Found) -> tuple[Any, ...]:
    """All that does not depend on the clock."""
    trace = [{name: value for name, value in step.items() if name != "seconds"} for step in found.trace]
    return found.seed, found.found, found.best, found.evaluations, trace


@pytest.mark.parametrize("algorithm", OPTIONS)
def test_budget_is_exact_and_a_killed_search_goes_on_to_the_same_end(algorithm: str, tmp_path: Path) -> None:
    asked = prepare("nas_bench_201", algorithm, evaluations=9, options=OPTIONS[algorithm], **SMALL)
    whole = run(asked, 1, tmp_path)
    assert whole.evaluations == len(whole.trace) == 9
    assert what(whole) == what(run(asked, 1))
    assert what(whole) != what(run(asked, 2))
    file = tmp_path / "seed-0001.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:5]) + lines[5][:20])
    told: list[tuple[int, int]] = []
    assert what(run(asked, 1, tmp_path, lambda *state: told.append(state))) == what(whole)
    assert told == [(done, 9) for done in range(4, 10)], "four steps were kept"
    assert len(file.read_text().splitlines()) == 10
    assert whole == run(asked, 1, tmp_path) or what(whole) == what(run(asked, 1, tmp_path))


def test_the_found_one_is_the_best_seen() -> None:
    found = search("nas_bench_201", "random", "naswot", evaluations=12, **SMALL)
    values = {step["arch"]: step["numbers"][0] for step in found.trace}
    assert values[found.found] == max(values.values())
    assert [values[arch] for arch in found.best] == sorted(values.values(), reverse=True)


def test_a_small_value_can_be_the_best() -> None:
    found = search("nas_bench_201", "random", "ntk_regression_error", evaluations=8, **SMALL)
    values = {step["arch"]: step["values"]["ntk_regression_error"] for step in found.trace}
    assert values[found.found] == min(value for value in values.values() if not math.isnan(value))


def test_a_budget_of_seconds_ends_it() -> None:
    found = search("nas_bench_201", "random", "naswot", budget_seconds=1e-6, **SMALL)
    assert found.evaluations == 1


def test_what_is_read_off_the_architecture_takes_its_time_too() -> None:
    found = search("nas_bench_201", "random", "parameters", budget_seconds=1e-6, **SMALL)
    assert found.evaluations == 1
    assert found.seconds > 0
    objective = Objective("nas_bench_201", "parameters", **SMALL)
    assert [objective.evaluate(found.found).seconds > 0 for _ in range(2)] == [True, False]


def exhausted() -> torch.nn.Module:
    raise MemoryError("no room")


def flat(width: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, width), torch.nn.ReLU())


@pytest.mark.parametrize("algorithm", ["evolution", "nsga2"])
def test_time_alone_ends_where_nothing_is_new(algorithm: str) -> None:
    """Four architectures are known at once, and cost no time ever after."""
    where = space({name: partial(flat, width) for name, width in zip("abcd", (2, 3, 5, 7), strict=True)})
    found = search(where, algorithm, "parameters", budget_seconds=1e9, options=OPTIONS[algorithm], n=4, resolution=8)
    assert "".join(found.best) == "dcba"
    assert IDLE < found.evaluations < IDLE + 100


def test_two_searches_do_not_share_a_journal(tmp_path: Path) -> None:
    file = tmp_path / "seed-0000.jsonl"
    with Journal(file, {"a": 1}) as first:
        with pytest.raises(InputError, match=r"another search is writing .*; wait for it, or name another folder"):
            Journal(file, {"a": 1})
        first.add({"step": 1})
    with Journal(file, {"a": 1}) as later:
        assert later.found == [{"step": 1}]


def test_an_unfinished_line_is_cut_off_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    whole = b'{"a": 1}\n{"step": 1}\n'
    file.write_bytes(whole + '{"step": "λ'.encode()[:-1])
    with Journal(file, {"a": 1}) as journal:
        assert journal.found == [{"step": 1}]
        assert file.read_bytes() == whole


def test_a_full_disk_is_said_and_what_was_kept_stays(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk, in a process of its own."""
    program = (
        "from pathlib import Path; from automl_theory.search.journal import Journal; import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal(Path(sys.argv[1]), {'a': 1})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "with journal:\n for step in range(99): journal.add({'step': step})\n"
    )
    file = tmp_path / "j.jsonl"
    ended = subprocess.run([sys.executable, "-c", program, str(file)], check=False, capture_output=True, text=True)
    assert f"InputError: cannot write {file} (File too large); make room, or name another folder" in ended.stderr
    with Journal(file, {"a": 1}) as journal:
        assert journal.found == [{"step": step} for step in range(len(journal.found))]
        assert len(journal.found) > 3


def test_a_search_killed_at_any_step_goes_on_to_the_same_end(tmp_path: Path) -> None:
    asked = prepare("nas_bench_201", "evolution", "naswot", evaluations=8, options=OPTIONS["evolution"], **SMALL)
    whole = run(asked, 3)
    program = (
        "from pathlib import Path; import json, os, signal, sys\n"
        "from automl_theory.search.request import prepare; from automl_theory.search.run import run\n"
        "asked = prepare('nas_bench_201', 'evolution', 'naswot', evaluations=8, **json.loads(sys.argv[2]))\n"
        "run(asked, 3, Path(sys.argv[1]), lambda done, steps: done == 5 and os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    settings = json.dumps({"options": OPTIONS["evolution"], **SMALL})
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path), settings], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len((tmp_path / "seed-0003.jsonl").read_text().splitlines()) == 6
    assert what(run(asked, 3, tmp_path)) == what(whole)


def test_workers_change_nothing() -> None:
    asked = prepare("nas_bench_201", "evolution", "naswot", evaluations=5, options=OPTIONS["evolution"], **SMALL)
    told: list[tuple[int, int, int]] = []
    alone = repeat(asked, [0, 1], progress=lambda *state: told.append(state))
    together = repeat(asked, [0, 1], workers=2)
    assert [what(found) for found in alone] == [what(found) for found in together]
    assert (told[0], told[-1]) == ((0, 10, 0), (10, 10, 0))


def test_a_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, **SMALL)
    with pytest.raises(InputError, match=r"is of a search with algorithm random, not evolution"):
        search("nas_bench_201", "evolution", "naswot", evaluations=2, folder=tmp_path, **SMALL)
    longer = search("nas_bench_201", "random", "naswot", evaluations=4, folder=tmp_path, **SMALL)
    assert longer.evaluations == 4
    (tmp_path / "seed-0000.jsonl").write_text("no journal\n")
    with pytest.raises(InputError, match="is no journal of a search"):
        search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, **SMALL)


def test_a_journal_of_other_steps_is_refused(tmp_path: Path) -> None:
    search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, **SMALL)
    file = tmp_path / "seed-0000.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["arch"] = lines[2]["arch"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="has other steps than this version makes"):
        search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, **SMALL)


def doubled(signals: Any) -> float:
    return 2.0 * len(signals.y)


def test_a_journal_of_another_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"evaluations": 2, "folder": tmp_path, **SMALL}
    search("nas_bench_201", "random", "naswot", **few)
    again = replace(REGISTRY["naswot"], compute=doubled, revision=REGISTRY["naswot"].revision + 1)
    monkeypatch.setitem(REGISTRY, "naswot", again)
    with pytest.raises(InputError, match=r"is of a search with proxies \['naswot'\], not \['naswot@2'\]"):
        search("nas_bench_201", "random", "naswot", **few)


def test_a_journal_of_other_networks_is_refused(tmp_path: Path) -> None:
    """Both spaces have the architectures "a" and "b"; only what they build tells them apart."""
    few: dict[str, Any] = {"evaluations": 2, "folder": tmp_path, "n": 4, "resolution": 8}
    narrow, wide = partial(flat, 2), partial(flat, 3)
    first = search(space({"a": narrow, "b": wide}), "random", "parameters", **few)
    assert what(search(space({"a": narrow, "b": wide}), "random", "parameters", **few)) == what(first)
    with pytest.raises(InputError, match=r"'[ab]' stands for another network than when .*; name another folder"):
        search(space({"a": wide, "b": narrow}), "random", "parameters", **few)
    with pytest.raises(InputError, match=r"'[ab]' cannot be built now, as it could be when .*; name another folder"):
        search(space({"a": exhausted, "b": exhausted}), "random", "parameters", **few)


def test_the_order_of_settings_is_no_setting(tmp_path: Path) -> None:
    few = {"evaluations": 2, "folder": tmp_path, "n": 10, "resolution": 8}
    search("nas_bench_201", "random", "naswot", network={"channels": 4, "cells_per_stage": 1}, **few)
    search("nas_bench_201", "random", "naswot", network={"cells_per_stage": 1, "channels": 4}, **few)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"n": 10}, {"n": np.int64(10)}),
        ({"radius": 0.5}, {"radius": np.float64(0.5)}),
        ({"seeds": [0, 1]}, {"seeds": iter([0, 1])}),
        ({"seeds": 2}, {"seeds": np.arange(2)}),
        ({}, {"bn": "frozen"}),
    ],
)
def test_equal_settings_are_one_search(one: dict[str, Any], other: dict[str, Any], tmp_path: Path) -> None:
    found = [
        search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, **{**SMALL, **settings})
        for settings in (one, other)
    ]
    assert what(found[0]) == what(found[1])


def test_the_data_are_those_that_are_measured(tmp_path: Path) -> None:
    """Sets that agree in the batch of seed 0 alone are two sets for a search that draws another."""
    few = {"evaluations": 2, "folder": tmp_path, **SMALL, "data_seed": 5}
    x, y = np.random.default_rng(0).normal(size=(40, 3, 8, 8)).astype(np.float32), np.arange(40) % 2
    search("nas_bench_201", "random", "naswot", (x, y), **few)
    drawn = load_batch((x, y), 10, 5, size=8).x.numpy()
    other = np.where(np.isin(x[:, 0, 0, 0], drawn[:, 0, 0, 0])[:, None, None, None], x, x + 1)
    search("nas_bench_201", "random", "naswot", (other, y), **few)
    with pytest.raises(InputError, match="is of a search with settings: digest"):
        search("nas_bench_201", "random", "naswot", (x + 1, y), **few)


def test_what_was_refused_leaves_its_folder_free(tmp_path: Path) -> None:
    few = {"evaluations": 2, "folder": tmp_path, **SMALL}
    with pytest.raises(InputError, match="none of 2 architectures could be measured"):
        search(space({"a": partial(int, 3), "b": partial(int, 4)}), "random", "naswot", **few)
    (tmp_path / "seed-0000.jsonl").write_text("")
    search("nas_bench_201", "random", "naswot", **few)


def test_a_network_that_stops_the_process_is_a_failure(tmp_path: Path) -> None:
    where = space({"a": partial(flat, 3), "b": partial(sys.exit, 3), "c": exhausted})
    few: dict[str, Any] = {"evaluations": 3, "folder": tmp_path, "n": 4, "resolution": 8}
    with pytest.warns(FailedScores, match="2 of 3"):
        found = search(where, "random", "naswot", **few)
    assert found.found == "a"
    with pytest.warns(FailedScores, match="2 of 3"):
        assert repr(what(search(where, "random", "naswot", **few))) == repr(what(found))


def test_threads_and_versions_are_part_of_a_search(tmp_path: Path) -> None:
    """Sums depend on them in their last bits."""
    search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, **SMALL)
    with pytest.raises(InputError, match=r"is of a search with environment: threads_per_worker 1, not 2; "):
        search("nas_bench_201", "random", "naswot", evaluations=2, folder=tmp_path, threads=2, **SMALL)


@pytest.mark.parametrize("images", [2, 10])
def test_few_images_are_enough(images: int) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(images, 3, 8, 8)).astype(np.float32), np.arange(images) % 2
    settings = {**SMALL, "n": images}
    assert search("nas_bench_201", "random", "naswot", data, evaluations=2, **settings).evaluations == 2


@pytest.mark.parametrize(
    ("step", "lacks"),
    [
        ("{}", "arch, numbers, seconds, statuses, values"),
        ('{"arch": "a"}', "numbers, seconds, statuses, values"),
        (
            '{"arch": 3, "values": {}, "statuses": [], "numbers": null, "seconds": "x"}',
            "arch, numbers, seconds, statuses",
        ),
    ],
)
def test_a_step_that_is_no_step_is_refused(step: str, lacks: str, tmp_path: Path) -> None:
    few = {"evaluations": 2, "folder": tmp_path, **SMALL}
    search("nas_bench_201", "random", "naswot", **few)
    file = tmp_path / "seed-0000.jsonl"
    head = file.read_text().splitlines()[0]
    file.write_text(f"{head}\n{step}\n")
    with pytest.raises(InputError, match=rf"step 1 of .*seed-0000.jsonl has no {lacks}; name another folder"):
        search("nas_bench_201", "random", "naswot", **few)


@pytest.mark.parametrize("alone", ["composite", ["composite"], ("composite",), iter(["composite"])])
def test_the_composite_by_any_spelling_brings_measures_of_the_graph(alone: Any) -> None:
    asked = prepare("nas_bench_201", "random", alone)
    assert asked.graph
    assert len(asked.proxies) == 4


@pytest.mark.parametrize("beside", ["composite,naswot", ["naswot", "composite"]])
def test_the_composite_stands_alone(beside: Any) -> None:
    with pytest.raises(InputError, match="composite is a whole of proxies and measures of the graph; name it alone"):
        prepare("nas_bench_201", "random", beside)


def test_budgets_may_be_numpys() -> None:
    asked = prepare("nas_bench_201", evaluations=np.int64(5), budget_seconds=np.float64(2.5))
    assert (asked.evaluations, asked.budget_seconds) == (5, 2.5)
    assert type(asked.evaluations) is int


def test_a_random_search_ends_with_what_a_space_can_draw() -> None:
    """MLP-DAGs of five nodes are too many to be listed, and hardly any class is drawn that was not drawn before."""
    where = MlpDag(nodes=5)
    asked = prepare(where, "random", "parameters", evaluations=10**6, n=4)
    loop = random_search(where, Variables({}, str, lambda arch: True), 0)
    names = list(iter(lambda: next(loop, None), None))
    assert len(names) == len(set(names)) >= 8192
    assert asked.evaluations == 10**6


@pytest.mark.parametrize(
    ("algorithm", "settings", "message"),
    [
        ("random", {"evaluations": "5"}, "budget of evaluations must be above 0, got '5'; give a positive number"),
        ("random", {"budget_seconds": "5"}, "budget of seconds must be above 0, got '5'"),
        ("random", {"radius": "0.5"}, "radius must be above 0 and at most 1, got '0.5'"),
        ("random", {"seeds": [0, 1], "threads": 0}, "threads"),
        ("tenas", {"threads": 0}, "threads"),
        ("tenas", {"repeats": 0}, "repeats to be an integer of at least 1, got 0"),
        ("tenas", {"repeats": 1.5}, "repeats to be an integer of at least 1, got 1.5"),
        ("tegnas", {"batches": 0}, "batches to be an integer of at least 1, got 0"),
        ("tenas", {"samples": 0}, "samples to be an integer of at least 1, got 0"),
        ("tenas", {"channels": 0}, "channels to be an integer of at least 1, got 0"),
        ("tenas", {"bn": "foo"}, "bn='foo' is not one of batch, frozen, running"),
        ("tenas", {"init": "he"}, "init='he' is not one of pytorch, he_fan_in, he_fan_out"),
        ("tenas", {"proxies": np.array(["naswot"])}, "tenas has measures of its own; leave proxies out"),
        ("tegnas", {"n": 1}, "n to be an integer of at least 2, got 1"),
        ("tenas", {"proxies": "parameters"}, "tenas has measures of its own; leave proxies out"),
        ("evolutoin", {}, "unknown algorithm 'evolutoin'.*Did you mean 'evolution'"),
        ("random", {"evaluations": 0}, "budget of evaluations must be above 0"),
        ("random", {"evaluations": 1.5}, "must be a whole number"),
        ("random", {"budget_seconds": -1.0}, "budget of seconds must be above 0"),
        ("tenas", {"evaluations": 5}, "tenas ends by itself"),
        ("tenas", {"radius": 0.5}, "no filter can leave out"),
        ("tenas", {"channel": 4}, "has no setting 'channel'.*Did you mean 'channels'"),
        ("nsga2", {"options": {"warm_up": 5}}, "nsga2 has no option 'warm_up'; it has population"),
        ("evolution", {"options": {"warm": 5}}, "it has population, tournament, warm_up. Did you mean 'warm_up'"),
        ("random", {"options": {"population": 5}}, "random has no options; leave population out"),
        ("tegnas", {"options": {"population": 5}}, "tegnas has no options; leave population out"),
        ("evolution", {"options": {"population": 5.0}}, "population to be an integer of at least 1, got 5.0"),
        ("random", {"seed": -1, "evaluations": 1}, "seed to be an integer of at least 0"),
    ],
)
def test_bad_settings(algorithm: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        search("nas_bench_201", algorithm, **settings)


class WithoutVariables(NasBench101):
    """The space as it is for a loop that knows no variables."""

    choices = None


def test_a_space_without_variables_is_searched_at_random() -> None:
    where = WithoutVariables()
    with pytest.raises(InputError, match="space 'nas_bench_101' has no variables; take the algorithm random"):
        prepare(where, "evolution")
    assert search(where, "random", "parameters", evaluations=3, n=4).evaluations == 3


def fails() -> torch.nn.Module:
    raise ValueError("no network today")


def test_a_search_in_which_everything_fails_says_so() -> None:
    with pytest.raises(
        InputError, match="none of 2 architectures could be measured, the first: ValueError: no network to"
    ):
        search(space({"a": fails, "b": fails}), "random", "naswot", evaluations=2, n=4)


def test_a_search_tells_what_failed_and_still_does_when_resumed(tmp_path: Path) -> None:
    where = space({"a": fails, "b": partial(flat, 64), "c": fails})
    told = "2 of 3 architectures failed, .* seed 0: ValueError: no network today; `failures` of the result has every"
    for _ in range(2):
        with pytest.warns(FailedScores, match=told) as seen:
            found = search(where, "random", "naswot", evaluations=3, n=4, resolution=8, folder=tmp_path)
        assert seen[0].filename == __file__
        assert found.found == "b"
        assert sorted(found.failures) == [(arch, 0, "ValueError: no network today") for arch in "ac"]


def test_what_has_a_value_comes_before_what_has_none() -> None:
    """NASWOT of one unit is -inf where two samples share a code, as bad as that of a network that fails."""
    where = space({"a": fails, "b": partial(flat, 1), "c": fails})
    with pytest.warns(FailedScores):
        found = search(where, "random", "naswot", evaluations=3, n=8, resolution=8)
    (value,) = (step["values"]["naswot"] for step in found.trace if step["arch"] == "b")
    assert value == -math.inf
    assert found.best[0] == "b"


@pytest.mark.parametrize("algorithm", ["evolution", "nsga2"])
def test_modules_of_nas_bench_101_evolve(algorithm: str) -> None:
    found = search("nas_bench_101", algorithm, "parameters", evaluations=40, n=4, options=OPTIONS[algorithm])
    sizes = [step["values"]["parameters"] for step in found.trace]
    classes = [NasBench101().canonical(step["arch"]) for step in found.trace]
    assert max(sizes) == sizes[classes.index(found.found)]
    assert max(sizes[20:]) > max(sizes[:4])


def test_all_algorithms_are_known() -> None:
    assert set(ALGORITHMS) == {*OPTIONS, "tenas", "tegnas"}


def found_one(arch: str, seed: int) -> Found:
    return Found("random", seed, arch, (arch,) * 10, (), 10, 1.0)


def test_places_by_hand() -> None:
    where = space("nas_bench_201")
    a, b, c = where.sample(3, 0, canonical=False)
    trained = pd.DataFrame(
        {"test_accuracy": [90.0, 80.0], "test_loss": [1.0, 2.0]}, index=pd.Index([a, b], name="arch")
    )
    table = places([found_one(a, 0), found_one(b, 1), found_one(c, 2)], where, trained, "test_accuracy")
    assert table["rank"].tolist()[:2] == [1.0, 2.0]
    assert table["percentile"].tolist()[:2] == [100.0, 50.0]
    assert table["top10_mean"][0] == 90.0
    assert table.loc[2, ["test_accuracy", "rank", "percentile"]].isna().all()
    losses = places([found_one(a, 0), found_one(b, 1)], where, trained, "test_loss")
    assert losses["rank"].tolist() == [1.0, 2.0]


def test_places_by_class() -> None:
    where = space("nas_bench_201")
    arch = next(name for name in where if where.canonical(name) != name)
    trained = pd.DataFrame({"test_accuracy": [7.0]}, index=pd.Index([where.canonical(arch)], name="canonical"))
    assert places([found_one(arch, 0)], where, trained, "test_accuracy")["test_accuracy"].tolist() == [7.0]


def test_summary_by_hand() -> None:
    s = summary([1.0, 2.0, 3.0])
    assert (s.n, s.mean, s.deviation) == (3, 2.0, 1.0)
    assert s.high - s.mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(summary([1.0]).deviation)
