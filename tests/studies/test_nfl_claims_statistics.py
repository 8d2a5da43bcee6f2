"""Group means, taus, winners, fronts, ranks of the study: against loops, closed forms and what must not matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import nfl_statistics as reference
from scipy import stats
from studies.nfl_claims_tables import LITTLE, SHARES, exact, extras, graph, measured, trained

from automl_theory.errors import InputError
from automl_theory.studies.no_free_lunch import table1
from automl_theory.studies.no_free_lunch.agreement import agreement, agreement_table
from automl_theory.studies.no_free_lunch.fronts import PAPER, class_front, front, front_table, overlap_table
from automl_theory.studies.no_free_lunch.groups import depth_width, depth_width_table, group_means, group_taus
from automl_theory.studies.no_free_lunch.intervals import (
    Effort,
    by_seed,
    class_draws,
    classes_of,
    mean_of_seeds,
    seed_draws,
    student,
)
from automl_theory.studies.no_free_lunch.published import ASPECTS, DAGS_2022, TABLE_1
from automl_theory.studies.no_free_lunch.runs import count_networks, count_runs, outcome, why_not
from automl_theory.studies.no_free_lunch.winners import class_values, steps, winner

NOISY = Effort(seed_draws=2, each=5)


def table(seed: int, share: float, seeds: int = 2, missing: float = 0.1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Random values (few, so that there are ties) of a random part of the space, some missing."""
    rng = np.random.default_rng(seed)
    shape = graph().sample(frac=share, random_state=seed)
    runs = pd.DataFrame([(arch, s) for arch in shape["arch"] for s in range(seeds)], columns=["arch", "seed"])
    runs["value"] = rng.integers(0, 8, size=len(runs)).astype(float)
    runs.loc[rng.random(len(runs)) < missing, "value"] = np.nan
    return runs, shape


@given(seed=st.integers(0, 10**6), share=st.floats(0.02, 0.3), least=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_taus_with_depth_and_width_equal_loops(seed: int, share: float, least: int) -> None:
    runs, shape = table(seed, share)
    values, means = by_seed(runs, "value"), reference.seed_means(runs, "value")
    for level, slow in (("groups", reference.group_taus), ("networks", reference.network_taus)):
        found = depth_width(values, shape, level, least_edges=least, effort=NOISY)
        kept = [arch for arch in means if shape.set_index("arch").loc[arch, "live_linear_edges"] >= least]
        if len(kept) < 3:
            assert found["depth"].n == 0
            continue
        depth, paths, n = slow(means, shape, least)
        assert found["depth"].value == pytest.approx(depth, abs=1e-12, nan_ok=True)
        assert found["paths"].value == pytest.approx(paths, abs=1e-12, nan_ok=True)
        assert found["depth"].n == found["paths"].n == n


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_a_resample_of_group_means_is_the_table_with_repeated_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = graph().sample(n=40, random_state=seed)
    mean = rng.normal(size=40)
    weights = rng.integers(0, 3, size=(40, 4)).astype(np.uint8)
    found = group_taus(mean, shape[["depth", "paths"]].to_numpy(dtype=float), weights)
    for k in range(4):
        rows = np.repeat(np.arange(40), weights[:, k])
        again = shape.iloc[rows].assign(arch=[f"{row}" for row in range(len(rows))])
        slow = reference.group_taus(dict(zip(again["arch"], mean[rows], strict=True)), again)
        assert found[:, k] == pytest.approx(slow[:2], abs=1e-12, nan_ok=True)


def test_the_space_has_23_groups_and_19_with_two_live_linear_edges() -> None:
    values = by_seed(measured(), "curvature")
    assert len(group_means(values, graph())) == depth_width(values, graph(), "groups", effort=NOISY)["depth"].n == 23
    assert len(group_means(values, graph(), least_edges=2)) == 19
    assert group_means(values, graph())["networks"].sum() == 541


def test_what_is_the_depth_has_tau_one_with_it() -> None:
    runs = graph().assign(seed=0).rename(columns={"total_depth": "t"})
    values = by_seed(runs, "depth")
    for level in ("groups", "networks"):
        found = depth_width(values, graph(), level, effort=LITTLE)
        assert (found["depth"].value, found["depth"].low, found["depth"].high) == pytest.approx((1, 1, 1))
    means = group_means(values, graph())
    assert means["mean"].to_numpy() == pytest.approx(means["depth"].to_numpy())
    assert means["sd"].to_numpy() == pytest.approx(np.zeros(23), abs=1e-12)


def test_nothing_depends_on_the_order_of_rows_or_on_the_scale() -> None:
    runs, shape = measured(noise=1.0), graph()
    other = runs.sample(frac=1, random_state=1)
    other["nngp_lambda_min"] = np.exp(other["nngp_lambda_min"] / 3)
    mixed = shape.sample(frac=1, random_state=2)
    values, shuffled = by_seed(runs, "curvature"), by_seed(other, "curvature")
    for level in ("groups", "networks"):
        assert depth_width(values, shape, level, effort=LITTLE) == depth_width(shuffled, mixed, level, effort=LITTLE)
    pair = [by_seed(table, "nngp_lambda_min") for table in (runs.query("seed == 0"), other.query("seed == 0"))]
    assert agreement(values, pair[0], shape, effort=LITTLE) == agreement(shuffled, pair[1], mixed, effort=LITTLE)
    pd.testing.assert_frame_equal(
        front_table(runs, shape, [PAPER], effort=LITTLE),
        front_table(runs.sample(frac=1, random_state=3), mixed, [PAPER], effort=LITTLE),
    )
    assert winner(values, shape, maximize=True) == winner(shuffled, mixed, maximize=True)


def test_other_names_of_the_same_architectures_change_no_tau() -> None:
    runs, shape = measured(noise=1.0), graph()
    names = {arch: f"net {k:03d}" for k, arch in enumerate(shape["arch"])}
    renamed, other = runs.replace({"arch": names}), shape.replace({"arch": names})
    for level in ("groups", "networks"):
        before, after = (
            depth_width(by_seed(runs, "curvature"), shape, level, effort=LITTLE),
            depth_width(by_seed(renamed, "curvature"), other, level, effort=LITTLE),
        )
        assert before == after


def test_the_interval_of_pure_noise_holds_zero_about_as_often_as_it_says() -> None:
    shape, hits = graph(), 0
    one = shape.drop_duplicates("canonical")
    for seed in range(60):
        rng = np.random.default_rng(seed)
        runs = pd.DataFrame({"arch": np.tile(one["arch"], 3), "seed": np.repeat(range(3), len(one))})
        runs["value"] = rng.normal(size=len(runs))
        found = depth_width(by_seed(runs, "value"), one, "networks", effort=Effort(10, 20))["depth"]
        hits += found.low <= 0 <= found.high
    assert 54 <= hits <= 60


def test_few_classes_give_a_value_and_no_interval() -> None:
    runs, shape = measured(), graph()
    few = shape.drop_duplicates("canonical").head(9)
    found = depth_width(by_seed(runs[runs["arch"].isin(few["arch"])], "curvature"), few, "networks", effort=LITTLE)
    assert np.isfinite(found["depth"].value)
    assert np.isnan([found["depth"].low, found["depth"].high]).all()


def test_student_is_scipys_interval_and_needs_two_seeds() -> None:
    values = np.array([1.0, 2.0, 4.0, np.nan])
    found = student(values, Effort())
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem(values[:3]))
    assert (found.value, found.low, found.high, found.n) == pytest.approx((7 / 3, low, high, 3))
    assert np.isnan(student(values[:1], Effort()).low)
    assert student(values[3:], Effort()).n == 0


def test_seeds_and_classes_are_drawn_as_said() -> None:
    effort = Effort(seed_draws=400, each=3)
    counts = seed_draws(3, effort)
    assert counts.shape == (400, 3)
    assert (counts.sum(axis=1) == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(3), abs=0.15)
    assert (seed_draws(1, effort) == 1).all()
    classes = classes_of(pd.Index(graph()["arch"]), graph())
    weights = class_draws(classes, Effort(2, 5))
    assert weights.shape == (541, 10)
    for number in range(94):
        assert (weights[classes == number] == weights[classes == number][0]).all()
    assert class_draws(classes[classes < 9], effort).size == 0
    values = np.array([[1.0, 3.0, np.nan], [np.nan] * 3])
    assert mean_of_seeds(values, np.array([1, 2, 0])) == pytest.approx([7 / 3, np.nan], nan_ok=True)


def test_tables_that_do_not_fit_are_refused() -> None:
    runs = measured()
    with pytest.raises(InputError, match=r"two rows for '0_0.*' with seed 0; give one row a run"):
        by_seed(pd.concat([runs, runs.head(1)]), "curvature")
    with pytest.raises(InputError, match="the table has no column 'kappa'; it has arch, seed, curvature"):
        by_seed(runs, "kappa")
    with pytest.raises(InputError, match="the graph table has no row for '2_22_222'; give every architecture one"):
        depth_width(by_seed(runs, "curvature"), graph().iloc[:-1], "groups")


def test_the_long_table_has_every_budget_with_ten_networks() -> None:
    found = depth_width_table(measured(), ["curvature", "missing"], graph(), effort=NOISY)
    assert set(found["quantity"]) == {"curvature"}
    assert set(found["edges"]) == {"all", "2 or more", "1", "2", "3", "4", "5"}
    assert len(found) == 7 * 2 * 2


def test_agreement_is_kendall_of_the_means() -> None:
    theory, runs = measured(noise=1.0), trained(noise=1.0)
    found = agreement_table(theory, runs, graph(), ["curvature", "ntk_lambda_90", "missing"], effort=LITTLE)
    assert len(found) == 2 * 3
    for row in found.to_dict("records"):
        a, b = reference.seed_means(theory, row["measure"]), reference.seed_means(runs, row["outcome"])
        slow = stats.kendalltau([a[arch] for arch in a], [b[arch] for arch in a]).statistic
        assert row["tau"] == pytest.approx(slow, abs=1e-12)
        assert row["low"] <= row["tau"] <= row["high"]
        assert row["aspect"] == ASPECTS[row["outcome"]]
    same = by_seed(theory, "curvature")
    own = agreement(same, same, graph(), paired=True, effort=LITTLE)
    assert (own.value, own.low, own.high) == pytest.approx((1, 1, 1))
    assert agreement(same, same, graph(), effort=LITTLE).low < 1, "other seeds are other draws"
    none = agreement(by_seed(theory, "curvature").head(0), by_seed(runs, "gap"), graph())
    assert none.n == 0
    assert np.isnan(none.value)


def test_the_winner_is_the_best_class_and_noise_hides_it() -> None:
    for noise in (0.01, 3.0):
        theory = measured(noise=noise)
        best = winner(by_seed(theory, "curvature"), graph(), maximize=True)
        assert best is not None
        assert best.canonical == reference.best_class(theory, "curvature", graph())
        assert (best.classes, best.seeds) == (94, 3)
        assert sum(best.shares.values()) == pytest.approx(1)
        assert (len(best.near) == 0) == (noise == 0.01)
    clear = winner(by_seed(measured(0.01), "curvature"), graph(), maximize=True)
    assert clear is not None
    assert clear.canonical == "2_02_002"
    assert clear.shares == {"2_02_002": 1.0}
    least = winner(by_seed(measured(0.01), "curvature"), graph(), maximize=False)
    assert least is not None
    assert graph().set_index("arch").loc[least.canonical, "paths"] == 4
    assert least.value < 0
    single = winner(by_seed(measured(0.01, seeds=1), "curvature"), graph(), maximize=True)
    assert single is not None
    assert len(single.near) == 93, "one seed tells nobody apart"
    assert winner(by_seed(measured().head(0), "curvature"), graph(), maximize=True) is None


def test_a_class_counts_once_a_seed_and_steps_are_paired() -> None:
    theory = measured(noise=1.0)
    values = by_seed(theory, "nngp_lambda_min")
    by_class = class_values(values, graph())
    assert len(by_class) == 94
    members = graph().query("canonical == '1_01_222'")["arch"]
    assert by_class.loc["1_01_222"].to_numpy() == pytest.approx(values.loc[members].mean().to_numpy())
    found = steps(values, graph(), DAGS_2022)
    apart = by_class.loc["1_01_222"] - by_class.loc["2_02_002"]
    low, high = stats.t.interval(0.95, 2, loc=apart.mean(), scale=stats.sem(apart))
    assert (found[0].value, found[0].low, found[0].high) == pytest.approx((apart.mean(), low, high))
    assert len(found) == 2
    assert [step.n for step in steps(values.drop(index="2_02_002"), graph(), DAGS_2022)] == [0, 3]


def test_fronts_equal_loops_over_all_and_at_each_budget() -> None:
    theory, shape = measured(noise=1.0), graph()
    found = front_table(theory, shape, [PAPER], effort=LITTLE).set_index("linear_edges")
    assert list(found.index) == ["all", "1", "2", "3", "4", "5", "6"]
    assert found["networks"].to_list() == [541, 112, 202, 154, 60, 12, 1]
    means = [reference.seed_means(theory, column) for column in PAPER]
    classes = dict(zip(shape["arch"], shape["canonical"], strict=True))
    for edges in (None, 2, 3):
        some = shape if edges is None else shape[shape["linear_edges"] == edges]
        archs = sorted(some["arch"])
        slow = reference.front(np.array([[mean[arch] for mean in means] for arch in archs]))
        members = [arch for arch, there in zip(archs, slow, strict=True) if there]
        assert front(theory, shape, PAPER, edges) == members
        row = found.loc["all" if edges is None else str(edges)]
        assert row["size"] == len(members)
        names = sorted({classes[arch] for arch in archs})
        grouped = [[np.mean([m[a] for a in archs if classes[a] == name]) for m in means] for name in names]
        assert row["class_size"] == sum(reference.front(np.array(grouped)))
        assert row["classes"] == len(names)
    assert found.loc["6", "class_size"] == 1
    assert found.loc["all", "one_wins"] == 0


def test_one_class_best_in_everything_is_found() -> None:
    theory, shape = measured(noise=0.01), graph()
    for column in PAPER:
        theory.loc[theory["arch"] == "2_02_002", column] = 100.0
    tables = [by_seed(theory, column) for column in PAPER]
    assert class_front(tables, shape, effort=LITTLE) == (pytest.approx(class_front(tables, shape)[0]), 1.0)
    assert class_front(tables, shape)[0].value == 1
    size, share = class_front([table[[0]] for table in tables], shape)
    assert size.value == 1
    assert np.isnan(share)
    assert class_front([table.head(0) for table in tables], shape)[0].n == 0


def test_overlap_of_the_best_tenths_counts_who_is_in_both() -> None:
    theory = measured(noise=1.0)
    found = overlap_table(theory, graph(), [("nngp_lambda_min", "ntk_lambda_90"), ("curvature", "?")], effort=NOISY)
    assert len(found) == 1
    means = [reference.seed_means(theory, column) for column in ("nngp_lambda_min", "ntk_lambda_90")]
    best = [set(sorted(mean, key=lambda arch: -mean[arch])[:55]) for mean in means]
    row = found.iloc[0]
    assert (row["shared"], row["of"]) == (len(best[0] & best[1]), 55)
    assert row["overlap"] == pytest.approx(len(best[0] & best[1]) / 55)
    assert row["low"] <= row["overlap"] <= row["high"]


def test_ranks_count_who_is_better_under_the_same_seed() -> None:
    runs = trained(noise=0.5)
    runs.loc[3, ["train_loss", "gap", "epochs_to_50"]] = np.nan
    runs.loc[3, "status"] = "diverged"
    others = extras(runs)
    others.loc[5, ["train_loss", "gap", "epochs_to_50", "status"]] = [np.nan, np.nan, 2.0, "diverged"]
    found = table1.ranks(others, runs)
    codes = {entry.name: entry.code for entry in TABLE_1}
    assert len(found) == len(others)
    for row, origin in zip(found.to_dict("records"), others.to_dict("records"), strict=True):
        pool = runs[(runs["seed"] == row["seed"]) & (runs["arch"] != codes.get(row["network"]))]
        for name in ASPECTS:
            value = np.nan if origin["status"] == "diverged" else origin[name]
            assert row[name] == reference.rank(value, pool[name].to_list()), (row, name)
        assert row["total"] == sum(row[name] for name in ASPECTS)
        assert row["n"] == 541


def test_table_1_has_means_over_seeds_and_the_papers_figures() -> None:
    runs = trained()
    others = extras(runs)
    found = table1.table_1(others, runs).set_index(["network", "outcome"])
    assert len(found) == 5 * 4
    ranks = table1.ranks(others, runs)
    mean = ranks[(ranks["wide_pruning"] == 0.2) & (ranks["deep_pruning"] == 0.5)]["total"].mean()
    assert found.loc[("pruned_ensemble", "total"), "rank"] == pytest.approx(mean)
    assert found.loc[("deep", "epochs_to_50"), "rank"] == 541
    assert found.loc[("deep", "total"), "paper"] == 1080
    assert (found["low"].dropna() >= 1).all()
    apart = table1.difference(ranks, "wide", "deep")
    by_seed_ = [
        (ranks[(ranks["network"] == a) & (ranks["seed"] == s)]["total"].item())
        for a in ("wide", "deep")
        for s in range(3)
    ]
    assert apart.value == pytest.approx(np.mean(np.array(by_seed_[:3]) - by_seed_[3:]))
    assert apart.n == 3
    nobody = table1.table_1(others.iloc[:0], runs)
    assert nobody["rank"].isna().all()


def test_totals_rank_every_live_network() -> None:
    runs = trained(noise=0.5)
    runs.loc[3, ["train_loss", "status"]] = [np.nan, "diverged"]
    found = table1.totals(runs)
    assert found.shape == (541, 3)
    assert found.loc[runs.loc[3, "arch"], 0] == 3 * 541
    for arch in ("2_02_002", "1_11_121", "2_22_221"):
        for seed in range(3):
            pool = runs[(runs["seed"] == seed) & (runs["status"] == "ok")]
            mine = pool[pool["arch"] == arch].iloc[0]
            assert found.loc[arch, seed] == sum(reference.rank(mine[name], pool[name].to_list()) for name in ASPECTS)


def test_a_seed_that_was_not_trained_gives_no_rank() -> None:
    runs = trained()
    others = extras(runs)
    assert set(table1.ranks(others, runs[runs["seed"] < 2])["seed"]) == {0, 1}


def test_the_sweep_is_tau_with_each_share() -> None:
    runs = trained()
    grid = table1.sweep(extras(runs), runs)
    assert len(grid) == len(SHARES) ** 2
    total = grid.drop(columns=["wide_pruning", "deep_pruning"]).mean(axis=1)
    for share in ("wide_pruning", "deep_pruning"):
        found = table1.sweep_tau(grid, share, effort=LITTLE)
        assert found.value == pytest.approx(stats.kendalltau(grid[share], total).statistic, abs=1e-12)
        assert found.low <= found.value <= found.high
        assert found.n == 16
    assert table1.sweep_tau(grid, "wide_pruning").value > 0.7
    assert table1.sweep_tau(grid.head(2), "wide_pruning").n == 0


def test_runs_are_counted_and_troubles_named() -> None:
    runs = trained()
    runs.loc[runs["arch"] == "2_02_002", "status"] = "diverged"
    runs.loc[5:9, "converged"] = False
    runs.loc[20:21, "epochs_to_50"] = np.nan
    counts = count_runs(runs)
    assert (counts.architectures, counts.runs, counts.diverged, counts.lost) == (541, 1623, 3, 1)
    assert (counts.not_converged, counts.never_halfway) == (5, 2)
    assert count_networks(graph()["arch"]) == 221
    assert "2_02_002" not in outcome(runs, "train_loss").index
    slow = outcome(runs, "epochs_to_50")
    fine = runs[runs["status"] == "ok"]
    assert slow.loc[runs.loc[20, "arch"], 0] == fine["epochs_to_50"].max()
    assert np.isnan(outcome(runs, "gap", converged_only=True).loc[runs.loc[5, "arch"], 0])
    assert not any(why_not(runs, name) for name in ASPECTS)
    assert why_not(None, "gap") == why_not(runs.head(0), "gap") == "nothing was trained"
    assert why_not(runs.assign(converged=False), "gap") == "1620 of 1623 runs have not converged"
    assert why_not(runs.assign(converged=False), "epochs_to_50") == ""
    slowest = runs.assign(epochs_to_50=np.nan)
    assert why_not(slowest, "epochs_to_50") == "1620 of 1623 runs never reached 50 % training accuracy"
    lost = runs.assign(status="diverged")
    assert why_not(lost, "train_loss") == "541 of 541 architectures diverged in every run"
    assert count_runs(None).runs == 0
    with pytest.raises(InputError, match="an outcome out of train_loss, epochs_to_50, gap, got 'loss'; name one"):
        why_not(runs, "loss")
    assert len(exact()) == 3
