from __future__ import annotations

import io

import numpy as np
import pandas as pd
from rich.console import Console

from automl_theory.analysis.ranking import rank
from automl_theory.report.console import footnote, interval, print_ranking


def printed(ranking: pd.DataFrame, width: int = 100, beside: pd.DataFrame | None = None) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_ranking(ranking, console, beside=beside)
    return console.file.getvalue()


def test_prints_every_proxy_the_ceiling_and_the_policy(scored: pd.DataFrame) -> None:
    ranking = rank(scored, "test_loss", noise=("test_loss_seed0", "test_loss_seed1"), resamples=50, undefined="worst")
    text = printed(ranking)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    for name in ranking.index:
        assert any(name in line for line in lines)
    row = next(line for line in lines if "turning_angle" in line)
    found = ranking.loc["turning_angle"]
    assert f"{found['kendall']:.2f} [{found['kendall_low']:.2f},{found['kendall_high']:.2f}]" in row
    assert "◇ params" in text
    assert lines.index(next(line for line in lines if "noise ceiling" in line)) > lines.index(row)
    flat = " ".join(text.split())
    assert "undefined values are ranked last" in flat
    assert "1 without a target left out" in flat
    assert "◇ size baseline: the strongest is params, |τ| 0.67." in flat
    assert "Partial ρ is given params (–: it is one of them, or follows from them)." in flat
    assert "Top: the best 10 % by target, 12 architectures." in flat
    assert "picks" not in flat, "what is not shown is not explained"
    assert "95 % intervals: 50 bootstrap resamples of the distinct ones, seed 0" in flat


def test_a_wide_terminal_shows_every_interval(scored: pd.DataFrame) -> None:
    ranking = rank(scored, "test_loss", resamples=50)
    row = ranking.loc["turning_angle"]
    for width, with_ends in ((80, False), (100, False), (130, True)):
        text = printed(ranking, width)
        assert max(map(len, text.splitlines())) <= width
        line = next(line for line in text.splitlines() if "turning_angle" in line)
        for name in ("spearman", "partial", "kendall_top"):
            value = f" {row[name]:.2f}"
            assert value in line
            assert (f"{value} [{row[f'{name}_low']:.2f},{row[f'{name}_high']:.2f}]" in line) == with_ends
    heads = [printed(ranking, width).splitlines()[0].split() for width in (80, 130)]
    assert heads[0] == ["proxy", "for", "Kendall", "τ", "ρ", "part.", "top", "τ", "n", "note"]
    assert heads[1] == ["proxy", "for", "Kendall", "τ", "Spearman", "ρ", "partial", "ρ", "top", "τ", "n", "note"]


def test_eighty_columns_are_enough_for_long_names(scored: pd.DataFrame) -> None:
    long = "a_very_long_name_of_a_proxy_that_nobody_should_choose"
    df = scored.rename(columns={"synflow": long})
    text = printed(rank(df, "test_loss", proxies=["turning_angle", long], resamples=50), 80)
    assert max(map(len, text.splitlines())) <= 80


def test_the_footnote_says_how_it_was_measured(scored: pd.DataFrame) -> None:
    scored = scored.drop(index=scored.index[7:9])
    without = footnote(rank(scored, "test_loss", resamples=0, given=[], top=0.25, k=3, undefined="drop"))
    assert "undefined values are left out of n." in without
    assert "Partial ρ is given nothing. Top: the best 25 % by target" in without
    assert "k = 3 picks. No intervals." in without
    analytic = footnote(rank(scored, "test_loss", interval="analytic", level=0.9))
    assert (
        "90 % intervals: analytic, the distinct ones as clusters; those of τ and ρ are widened by what 2 training "
        "seeds differ by, those of partial ρ and top τ and the notes' comparisons with sizes are not." in analytic
    )
    assert "widened" not in footnote(rank(scored.drop(columns="test_loss_seed1"), "test_loss", interval="analytic"))


def test_markup_in_names_is_plain_text(scored: pd.DataFrame) -> None:
    df = scored.rename(columns={"synflow": "[red]x[/red]"})
    assert "[red]x[/red]" in printed(rank(df, "test_loss", proxies=["[red]x[/red]"], resamples=0))


def test_interval() -> None:
    assert interval(np.nan, np.nan, np.nan) == "–"
    assert interval(0.5, np.nan, np.nan) == "0.50"
    assert interval(0.5, 0.4, 0.61) == "0.50 \\[0.40,0.61]"


def test_notes_are_letters_explained_below(scored: pd.DataFrame) -> None:
    ranking = rank(scored, "test_loss", resamples=50)
    text = printed(ranking, width=80)
    assert max(map(len, text.splitlines())) <= 80
    letters = {line[3:]: line[:1] for line in text.splitlines() if line[1:3] == "  "}
    for name, row in ranking.iterrows():
        shown = next(line for line in text.splitlines() if str(name) in line)
        expected = "".join(letters[part] for part in row["note"].split("; ") if part)
        assert shown.rstrip().endswith(f" {row['n']} {expected}".rstrip())


def test_another_target_stands_beside_where_there_is_room(scored: pd.DataFrame) -> None:
    ranking = rank(scored, "test_loss", resamples=0)
    other = rank(scored, "test_loss_seed0", resamples=0)
    wide, narrow = (printed(ranking, width, other) for width in (110, 80))
    assert "τ test_loss_seed0" in wide
    assert "τ test_loss_seed0" not in narrow
    row = next(line for line in wide.splitlines() if "turning_angle" in line)
    assert f" {other.loc['turning_angle', 'kendall']:.2f} " in row


def test_the_longest_names_stay_whole_at_eighty_columns(scored: pd.DataFrame) -> None:
    """The family gives way before a name wraps; it stays where there is room for both."""
    df = scored.rename(columns={"synflow": "ntk_condition_number_batch", "turning_angle": "ntk_lambda_min_normalised"})
    df.attrs["proxies"] = {**scored.attrs["proxies"]}
    for old, new in (("synflow", "ntk_condition_number_batch"), ("turning_angle", "ntk_lambda_min_normalised")):
        df.attrs["proxies"][new] = df.attrs["proxies"].pop(old)
    text = printed(rank(df, "test_loss", resamples=50), 80)
    assert max(map(len, text.splitlines())) <= 80
    for name in ("ntk_condition_number_batch", "ntk_lambda_min_normalised"):
        assert f"{name} " in text
    longest = "a" * 28
    long = rank(df.rename(columns={"params": longest}), "test_loss", proxies=[longest, "linear_regions"], resamples=50)
    long.loc["linear_regions", "note"] = "; ".join("uvwxyz")
    text = printed(long, 76)
    assert f"{longest} " in text
    assert max(map(len, text.splitlines())) <= 76
    assert " for " not in text.splitlines()[0]
    assert " expr " in printed(long, 90)


def test_few_architectures_are_marked(scored: pd.DataFrame) -> None:
    few, many = (printed(rank(scored, "test_loss", resamples=0, top=top)) for top in (0.1, 0.5))
    row = next(line for line in few.splitlines() if "turning_angle" in line)
    assert f"{rank(scored, 'test_loss', resamples=0).loc['turning_angle', 'kendall_top']:.2f}* " in row
    assert "* of fewer than 20 architectures: hardly a hint" in few
    assert "*" not in many


def test_a_baseline_that_points_the_wrong_way_is_said_to_be_turned_round(scored: pd.DataFrame) -> None:
    scored["params"] = -scored["params"]
    ranking = rank(scored, "test_loss", resamples=50)
    tau = ranking.loc["params", "kendall"]
    flat = " ".join(printed(ranking).split())
    assert tau < 0
    assert "the strongest is params" in " ".join(printed(ranking.drop(index="params")).split()), "a part of a ranking"
    said = f"the strongest is params, |τ| {-tau:.2f}, pointing the wrong way: the notes compare with it turned round."
    assert said in flat
    assert "below the size baseline turned round" in flat
