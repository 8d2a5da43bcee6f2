"""The list of claims on made-up tables with known answers, with tables missing, and on networks measured anew."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pandas as pd
import pytest
from studies.nfl_claims_tables import LITTLE, exact, extras, graph, measured, trained

from automl_theory.errors import InputError
from automl_theory.studies.no_free_lunch import measure
from automl_theory.studies.no_free_lunch.claims import Claim, claims, claims_table, summary
from automl_theory.studies.no_free_lunch.fronts import PAPER, SOUND, front, front_table
from automl_theory.studies.no_free_lunch.groups import depth_width
from automl_theory.studies.no_free_lunch.intervals import Estimate, by_seed
from automl_theory.studies.no_free_lunch.published import OUTCOMES, PER_NETWORK, TABLE_1, THEORY, TUNED
from automl_theory.studies.no_free_lunch.verdicts import anew


def compared(runs: pd.DataFrame | None, theory: pd.DataFrame | None, **options: object) -> list[Claim]:
    others = None if runs is None else extras(runs)
    return claims(runs, theory, exact(), graph(), others, effort=LITTLE, **options)


@cache
def everything() -> tuple[Claim, ...]:
    return tuple(compared(trained(), measured()))


def one(found: list[Claim] | tuple[Claim, ...], section: str, name: str) -> Claim:
    matching = [claim for claim in found if claim.section.startswith(section) and claim.name == name]
    assert len(matching) == 1, [claim.name for claim in found if claim.section.startswith(section)]
    return matching[0]


def test_every_figure_of_the_paper_has_its_claim() -> None:
    found = everything()
    names = [(claim.section, claim.name) for claim in found]
    assert len(set(names)) == len(names)
    theory = [claim.paper for claim in found if claim.section == "Theory at initialisation, group means"]
    assert theory[:6] == [value for pair in THEORY.values() for value in pair]
    training = [claim.paper for claim in found if claim.section == "Training, group means"]
    assert training == [value for by_data in OUTCOMES.values() for value in by_data["Tiny-ImageNet"]]
    assert [claim.paper for claim in found if claim.section.startswith("Figure 6")] == [tau for *_, tau in PER_NETWORK]
    assert [claim.paper for claim in found if claim.section.startswith("Figure 7")] == [0.45, -0.06]
    totals = [claim.paper for claim in found if claim.name.endswith(": sum of ranks")]
    assert totals == [entry.total for entry in TABLE_1]
    fronts = [claim for claim in found if claim.name.startswith("front of curvature")]
    assert [claim.name.rpartition(": ")[2] for claim in fronts] == [
        "all networks", "1 linear edge", *(f"{edges} linear edges" for edges in range(2, 7)),
    ]  # fmt: skip
    for claim in found:
        assert claim.verdict in ("agree", "differ", "cannot tell")
        assert claim.why.endswith(".")
        if not np.isnan(claim.low) and isinstance(claim.ours, float):
            assert claim.low <= claim.ours <= claim.high or "rank" in claim.name
            assert claim.n > 0


def test_known_answers() -> None:
    found = everything()
    assert one(found, "Theory at initialisation, group", "τ of curvature with width").verdict == "agree"
    assert one(found, "Training, group", "τ of training loss with depth").verdict == "agree"
    assert one(found, "Training, per network", "τ of epochs to 50 % with depth").n == 541
    assert one(found, "Named winners", "best in expressivity, by curvature").verdict == "agree"
    assert one(found, "Named winners", "best in convergence, by λ_min of the NNGP").verdict == "agree"
    dags = [claim for claim in found if claim.section.startswith("Three DAGs")]
    assert [claim.verdict for claim in dags] == ["agree", "agree", "differ", "agree", "agree"]
    assert dags[1].ours == "0.233 < 0.973 < 1.27"
    assert one(found, "No architecture", "front of the three outcomes of training").verdict == "agree"
    assert one(found, "Aspects", "τ of curvature and λ_min of the NNGP").verdict == "agree"
    assert one(found, "Aspects", "τ of training loss and epochs to 50 %").n == 541
    assert one(found, "Table 1", "III: deep and narrow: sum of ranks").verdict == "agree"
    better = one(found, "Table 1", "sum of ranks: ensemble minus deep")
    assert (better.verdict, better.paper) == ("agree", 231 - 1080)
    wide = one(found, "Figure 7", "τ of the share pruned in the wide part with the sum of ranks")
    assert (wide.verdict, wide.n) == ("agree", 16)


def test_turned_tables_differ() -> None:
    theory, runs = measured(), trained()
    theory[["curvature", "nngp_lambda_min", "ntk_lambda_90"]] *= -1
    runs[["epochs_to_50", "gap"]] *= -1
    found = compared(runs, theory)
    for section, name in (
        ("Theory at initialisation, group", "τ of curvature with depth"),
        ("Theory at initialisation, per network", "τ of “λ_min” of the NTK as plotted with width"),
        ("Training, group", "τ of epochs to 50 % with depth"),
        ("Training, per network", "τ of test minus training loss with width"),
        ("Named winners", "best in expressivity, by curvature"),
        ("Three DAGs", "epochs to 50 %, fewer being faster"),
    ):
        assert one(found, section, name).verdict == "differ", name
    assert any(line.startswith("What differs: τ of curvature with depth (theory") for line in summary(found))


def test_pure_noise_shows_no_winner_and_little_else() -> None:
    rng, theory, runs = np.random.default_rng(0), measured(), trained()
    for table in (theory, runs):
        for column in table.columns[2:]:
            if pd.api.types.is_float_dtype(table[column]):
                table[column] = rng.normal(size=len(table))
    found = compared(runs, theory)
    assert {claim.verdict for claim in found if claim.section == "Named winners"} <= {"cannot tell", "differ"}
    steep = [claim for claim in found if claim.section.startswith("T") and claim.name.startswith("τ")]
    clear = [claim for claim in steep if isinstance(claim.paper, float) and abs(claim.paper) > 0.5]
    assert sum(claim.verdict == "agree" for claim in clear) <= 2


@pytest.mark.parametrize("missing", ["trained", "measured", "exact", "extras", "all"])
def test_what_is_missing_cannot_be_told(missing: str) -> None:
    runs, theory = trained(), measured()
    tables = {"trained": runs, "measured": theory, "exact": exact(), "extras": extras(runs)}
    gone = list(tables) if missing == "all" else [missing]
    for name in gone:
        tables[name] = tables[name].head(0) if name == "measured" else None
    found = claims(tables["trained"], tables["measured"], tables["exact"], graph(), tables["extras"], effort=LITTLE)
    assert summary(found)
    sections = {
        "trained": ("Training", "Figure 6", "Table 1", "Figure 7"),
        "measured": ("Theory", "Figure 6"),
        "exact": (),
        "extras": ("Table 1", "Figure 7"),
        "all": ("",),
    }
    for claim in found:
        if claim.section.startswith(sections[missing]):
            assert claim.verdict == "cannot tell" or claim.name.startswith("best single"), claim
            assert claim.n == 0 or claim.name.startswith("best single")
    told = {claim.why for claim in found}
    wanted = {
        "trained": "Nothing was trained.",
        "measured": "This was not measured.",
        "exact": "This was not computed.",
        "extras": "These networks were not trained.",
        "all": "Nothing was trained.",
    }
    assert wanted[missing] in told


def test_the_list_of_claims_is_the_same_whatever_is_missing() -> None:
    bare = claims(None, None, None, graph(), effort=LITTLE)
    told, kept = (
        {(claim.section, claim.name, claim.paper) for claim in found if not claim.name.startswith("front of")}
        for found in (everything(), bare)
    )
    assert told | {("No architecture wins all three", "front at initialisation", "no one wins")} == kept | told
    assert len(told - kept) == 0


def test_where_everything_diverged_nothing_is_told() -> None:
    runs = trained()
    outcomes = ["train_loss", "epochs_to_50", "gap"]
    lost = runs.assign(status="diverged", converged=False, **dict.fromkeys(outcomes, np.nan))
    others = extras(runs).assign(status="diverged", converged=False, **dict.fromkeys(outcomes, np.nan))
    found = claims(lost, None, None, graph(), others, effort=LITTLE)
    assert {claim.verdict for claim in found} == {"cannot tell"}
    assert {"541 of 541 architectures diverged in every run."} <= {claim.why for claim in found}
    assert "541 architectures were lost" in " ".join(summary(found, lost))


def test_runs_that_did_not_converge_say_nothing_about_losses() -> None:
    runs = trained().assign(converged=False)
    found = compared(runs, measured())
    losses = one(found, "Training, group", "τ of training loss with depth")
    assert (losses.verdict, losses.why) == ("cannot tell", "1623 of 1623 runs have not converged.")
    assert losses.ours < 0, "the figure is shown all the same"
    for claim in found:
        if claim.section.startswith(("Table 1", "Figure 7")) and "epochs" not in claim.name:
            assert (claim.verdict, claim.why) == (losses.verdict, losses.why)
    assert one(found, "Training, group", "τ of epochs to 50 % with depth").verdict == "agree"
    assert "1623 had not converged when their epochs were over" in " ".join(summary(found, runs))


def test_a_verdict_that_hangs_on_runs_that_did_not_converge_is_none() -> None:
    runs = trained(noise=0.001)
    few = runs["arch"].isin(graph().query("depth > 1.9")["arch"])
    runs["train_loss"] = np.random.default_rng(0).normal(size=len(runs)) / 100
    runs.loc[few, "train_loss"] -= 10.0
    runs["converged"] = ~few
    assert 0 < (~runs["converged"]).sum() <= 162, "few enough to be asked twice"
    found = compared(runs, None)
    claim = one(found, "Training, group", "τ of training loss with depth")
    assert claim.verdict == "cannot tell"
    assert "runs that have not converged the verdict is “cannot tell”" in claim.why


def test_one_seed_and_few_networks_give_no_verdict_but_numbers() -> None:
    few = graph().drop_duplicates("canonical").head(8)
    runs, theory = trained(seeds=1, rows=few), measured(seeds=1, rows=few)
    found = claims(runs, theory, None, few, None, effort=LITTLE)
    assert {claim.verdict for claim in found} == {"cannot tell"}
    width = one(found, "Theory at initialisation, per network", "τ of curvature with width")
    assert isinstance(width.ours, float)
    assert np.isfinite(width.ours)
    assert width.why == "There is too little data for an interval."


def test_nothing_depends_on_the_order_of_rows() -> None:
    runs, theory = trained(noise=1.0), measured(noise=1.0)
    turned = [table.sample(frac=1, random_state=1) for table in (runs, theory, exact(), graph(), extras(runs))]
    first = claims_table(claims(runs, theory, exact(), graph(), extras(runs), effort=LITTLE))
    second = claims_table(claims(*turned, effort=LITTLE))
    pd.testing.assert_frame_equal(first, second)


def test_the_table_survives_csv() -> None:
    table = claims_table(everything())
    assert list(table.columns) == [
        "section", "name", "paper", "ours", "low", "high", "n", "data", "verdict", "why",
    ]  # fmt: skip
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert again["verdict"].tolist() == table["verdict"].tolist()
    assert again["low"].to_numpy() == pytest.approx(table["low"].to_numpy(dtype=float), nan_ok=True)
    assert claims_table([]).columns.tolist() == table.columns.tolist()


def test_the_summary_counts() -> None:
    lines = summary(everything(), trained())
    verdicts = [claim.verdict for claim in everything()]
    assert lines[0] == (
        f"Of {len(verdicts)} figures and claims of the paper, {verdicts.count('agree')} agree, "
        f"{verdicts.count('differ')} differ, {verdicts.count('cannot tell')} cannot be told."
    )
    assert any(
        line.startswith("1,623 runs of 541 architectures, which are 221 different networks: 0 diverged")
        for line in lines
    )


def test_tuned_rates_stand_beside_the_papers_tuned_ones() -> None:
    found = compared(trained(), None, tuned=True)
    training = [claim.paper for claim in found if claim.section == "Training, group means"]
    assert training == [value for by_data in OUTCOMES.values() for value in by_data[TUNED]]
    assert one(found, "Training, group", "τ of training loss with depth").data == f"digits (paper: {TUNED})"
    ranked = one(found, "Table 1", "III: deep and narrow: sum of ranks")
    assert ranked.data == "digits, the ensembles at one rate (paper: Tiny-ImageNet)"


def test_an_architecture_without_a_graph_is_refused() -> None:
    with pytest.raises(InputError, match="the graph table has no row for '2_22_222'"):
        claims(None, measured(), None, graph().iloc[:-1], effort=LITTLE)


def test_networks_measured_anew_reproduce_the_theory_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """m = 128, 32 Gaussian inputs of 192 numbers, three seeds: what the paper shows for Tiny-ImageNet at m = 256.

    The turning angle is taken at 128 points, since the 2,048 of the study are most of the time: hence its margin.
    """
    monkeypatch.setattr(measure, "TURNING_POINTS", 128)
    shape = graph()
    x = np.random.default_rng(0).normal(size=(32, 192))
    theory = measure.measured(shape["arch"].tolist(), x, seeds=(0, 1, 2), width=128, points=128)
    expected = {
        "curvature": ((0.52, -0.69), (0.29, -0.65), 0.25),
        "nngp_lambda_min": ((-0.64, 0.69), (-0.30, 0.78), 0.08),
        "ntk_lambda_90": ((-0.13, 0.85), (0.06, 0.84), 0.08),
        "ntk_lambda_min": ((-0.17, 0.87), (0.06, 0.84), 0.08),
        "turning_angle": ((0.88, -0.10), (0.80, 0.13), 0.2),
    }
    for column, (groups, networks, margin) in expected.items():
        for level, figures in (("groups", groups), ("networks", networks)):
            found = depth_width(by_seed(theory, column), shape, level, effort=LITTLE)
            assert [found["depth"].value, found["paths"].value] == pytest.approx(figures, abs=margin), (column, level)
            if level == "groups" and column in THEORY:
                for ours, paper in zip(found.values(), THEORY[column], strict=True):
                    assert isinstance(ours, Estimate)
                    assert anew(paper, ours)[0] == "agree", (column, paper, ours)
    compared_ = claims(None, theory, None, shape, effort=LITTLE)
    fronts = [claim for claim in compared_ if claim.name.startswith("front of curvature")]
    assert [claim.verdict for claim in fronts[:5]] == ["agree"] * 5, "nobody wins, at no budget of 1 to 4 either"
    sizes = front_table(theory, shape, [PAPER, SOUND], effort=LITTLE)
    assert (sizes.query("linear_edges == 'all'")["class_size"] > 5).all()
    assert "2_02_002" in front(theory, shape, PAPER)
