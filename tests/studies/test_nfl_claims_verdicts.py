"""The rules of the verdicts, case by case, and the published figures' own consistency."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.nfl_claims_tables import graph

from automl_theory.studies.no_free_lunch import published
from automl_theory.studies.no_free_lunch.intervals import NOTHING, Estimate
from automl_theory.studies.no_free_lunch.verdicts import (
    anew,
    correlation,
    named_winner,
    no_one_wins,
    order,
    placed,
    pull_apart,
    sign,
)
from automl_theory.studies.no_free_lunch.winners import Winner


def ours(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 23)


@pytest.mark.parametrize(
    ("paper", "low", "high", "verdict"),
    [
        (0.5, 0.1, 0.9, "agree"),
        (0.5, -0.1, 0.9, "cannot tell"),
        (0.5, -0.9, -0.1, "differ"),
        (-0.5, -0.9, -0.1, "agree"),
        (-0.5, 0.1, 0.9, "differ"),
        (-0.5, -0.9, 0.0, "cannot tell"),
        (0.2, 0.1, 0.9, "agree"),
        (0.11, 0.1, 0.3, "agree"),
        (-0.11, 0.1, 0.3, "agree"),
        (0.11, 0.1, 0.4, "cannot tell"),
        (0.11, 0.4, 0.9, "differ"),
        (0.11, -0.9, -0.4, "differ"),
        (0.11, -0.9, 0.9, "cannot tell"),
        (0.5, np.nan, np.nan, "cannot tell"),
        (0.11, np.nan, np.nan, "cannot tell"),
    ],
)
def test_a_correlation_on_other_data_is_judged_by_its_side(paper: float, low: float, high: float, verdict: str) -> None:
    assert correlation(paper, ours(low, high))[0] == verdict
    if abs(paper) >= 0.2:
        assert sign(paper, ours(low, high))[0] == verdict


@pytest.mark.parametrize(
    ("paper", "low", "high", "verdict", "why"),
    [
        (0.5, 0.4, 0.9, "agree", "The paper's value lies in our interval."),
        (0.5, 0.1, 0.4, "agree", "The values themselves differ"),
        (0.3, -0.2, 0.4, "agree", "lies in our interval"),
        (0.5, -0.2, 0.4, "cannot tell", "both sides of 0"),
        (0.5, -0.4, 0.6, "cannot tell", "both sides of 0"),
        (0.5, -0.6, -0.1, "differ", "on the other side"),
        (-0.12, -0.3, 0.0, "agree", "lies in our interval"),
        (-0.12, -0.05, 0.3, "agree", "The values themselves differ"),
        (-0.12, 0.4, 0.6, "differ", "more than a third away"),
    ],
)
def test_the_same_correlation_anew(paper: float, low: float, high: float, verdict: str, why: str) -> None:
    found = anew(paper, ours(low, high))
    assert found[0] == verdict
    assert why in found[1]


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_rules_have_no_side_of_their_own(paper: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    for rule in (sign, correlation, anew):
        if paper:
            assert rule(paper, ours(low, high))[0] == rule(-paper, ours(-high, -low))[0]


def test_a_winner_must_be_told_from_the_others_and_a_loser_from_the_winner() -> None:
    clear = Winner("2_02_002", 1.0, {"2_02_002": 1.0}, (), 94, 3)
    close = Winner("2_02_002", 1.0, {"2_02_002": 0.6, "1_01_222": 0.4}, ("1_01_222",), 94, 3)
    assert named_winner("2_02_002", clear)[0] == "agree"
    assert named_winner("1_11_121", clear) == ("differ", "2_02_002 is better here, by more than the seeds vary.")
    for name in ("2_02_002", "1_01_222"):
        verdict, why = named_winner(name, close)
        assert verdict == "cannot tell"
        assert "1 other class of networks" in why
    assert named_winner("1_11_121", close)[0] == "differ"
    assert named_winner("2_02_002", Winner("2_02_002", 1.0, {}, (), 94, 1))[0] == "cannot tell"
    assert named_winner("2_02_002", Winner("2_02_002", 1.0, {}, (), 1, 3))[0] == "cannot tell"
    assert named_winner("2_02_002", None)[0] == "cannot tell"


def test_an_order_needs_every_step() -> None:
    up, down, open_ = ours(0.1, 0.3), ours(-0.3, -0.1), ours(-0.1, 0.3)
    assert order(True, [up, up]) == ("agree", "Every step has the paper's direction.")
    assert order(True, [up, down]) == ("differ", "1 of 2 steps go the other way.")
    assert order(True, [up, open_]) == ("cannot tell", "1 of 2 steps have an interval that reaches 0.")
    assert order(True, [down, open_])[0] == "differ"
    assert order(False, [down, down])[0] == "agree"
    assert order(True, [up, NOTHING])[0] == order(True, [])[0] == "cannot tell"


def test_nobody_wins_everything_unless_resamples_say_so() -> None:
    assert [no_one_wins(share, 94, 0.95)[0] for share in (0.0, 0.05, 0.5, 0.95, 1.0)] == [
        "agree", "agree", "cannot tell", "differ", "differ",
    ]  # fmt: skip
    assert no_one_wins(np.nan, 94, 0.95)[0] == no_one_wins(0.0, 1, 0.95)[0] == "cannot tell"


def test_aspects_pull_apart_below_zero() -> None:
    assert pull_apart(ours(-0.5, -0.1))[0] == "agree"
    assert pull_apart(ours(-0.5, 0.1)) == ("cannot tell", "Our interval reaches to both sides of 0.")
    assert pull_apart(ours(0.1, 0.5))[0] == "differ"
    assert pull_apart(NOTHING)[0] == "cannot tell"


def test_a_rank_is_judged_by_its_half() -> None:
    assert placed(71 - 271, ours(1, 100), 271) == (
        "agree", "Our interval is wholly on the better half of the live networks, as the paper's rank.",
    )  # fmt: skip
    assert placed(538 - 271, ours(1, 100), 271)[0] == "differ"
    assert placed(538 - 271, ours(400, 541), 271)[0] == "agree"
    assert placed(71 - 271, ours(1, 541), 271) == ("cannot tell", "Our interval reaches to both sides of the middle.")


def test_published_figures_are_consistent() -> None:
    assert [entry.total for entry in published.TABLE_1] == [152, 257, 1080, 231, 109]
    assert list(published.OUTCOMES) == list(published.ASPECTS)
    for by_data in published.OUTCOMES.values():
        assert list(by_data) == [published.TINY, published.CIFAR_10, published.CIFAR_100, published.TUNED]
    signs = {name: {tuple(np.sign(v)) for v in by_data.values()} for name, by_data in published.OUTCOMES.items()}
    assert signs == {"train_loss": {(-1, 1)}, "epochs_to_50": {(1, -1)}, "gap": {(1, -1)}}
    shape = graph().set_index("arch")
    assert shape.loc["2_02_002", ["depth", "paths"]].tolist() == list(published.WINNERS["expressivity"])
    assert shape.loc["1_11_121", ["depth", "paths"]].tolist() == list(published.WINNERS["convergence"])
    assert shape.loc[list(published.DAGS_2022), "live_linear_edges"].tolist() == [3, 3, 3]
    for entry in published.TABLE_1:
        assert (entry.code is None) != (entry.pruning is None)
    single = [shape.loc[entry.code, ["paths", "depth"]].tolist() for entry in published.TABLE_1 if entry.code]
    assert single == [[4, 1.5], [4, 1.0], [1, 3.0]]


def test_outcomes_as_a_table() -> None:
    table = published.outcomes_table().set_index(["outcome", "with"])
    assert table.shape == (6, 4)
    assert table.loc[("gap", "paths"), published.CIFAR_10] == -0.21
    assert table.loc[("train_loss", "depth"), published.TUNED] == -0.57


def test_which_of_the_papers_data_sets_stands_beside_ours() -> None:
    assert published.data_set("digits", False) == published.TINY
    assert published.data_set("/data/cifar-10-batches-py", False) == published.CIFAR_10
    assert published.data_set("CIFAR_100", False) == published.CIFAR_100
    assert published.data_set("cifar10", True) == published.TUNED
