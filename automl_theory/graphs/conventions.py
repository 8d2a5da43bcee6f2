"""The three conventions of mask measures: what is left out, and what is multiplied or counted differently.

    strict     every graph that has an edge is measured, every degree gives a nested subgraph; NaRC over live nodes.
    iclr23     as the code released with the ICLR 2023 paper (ramanujan-on-pai): an edge is a kept weight that is not
               zero; a graph is measured if d_L ≥ 3 and d_R ≥ 3, and else nothing of it is defined; nested subgraphs
               need three inputs, and d ≥ 3 and d_R ≥ 3 of their own; NaRC counts every edge twice and divides by
               isolated nodes too. Undefined is None.
    neurips23  as the working code of the NeurIPS 2023 paper: whole graphs need d_R ≥ 3 and d_L > 1 (a slip of
               orientation: they are transposed twice), nested ones two inputs, d ≥ 3 and d_R > 1; a weight of exactly
               zero is no edge of the weighted graph; each nested gap is multiplied by
               max(n_L, n_R)/(n_L + n_R - 1) ("cheeger"); no valid nested subgraph gives 0, and undefined coordinates
               count as 0; "narc" is a mixing coefficient.

The guards make a measure undefined for narrow and sparse layers, so that means over layers run over another subset for
every pruning method (44 to 91 % of the layers at density 0.01): strict has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from automl_theory.errors import InputError, suggest

Guard = Callable[[float, float], bool]


@dataclass(frozen=True)
class Convention:
    """What a convention asks of a graph with mean degrees (d_L, d_R), in words and as functions."""

    name: str
    whole: Guard
    whole_words: str
    nested: Guard
    nested_words: str
    least_inputs: int
    cheeger: bool = False
    mixing: bool = False
    zero_weights_are_edges: bool = True
    undefined_counts_zero: bool = False


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention("strict", lambda left, right: True, "", lambda left, right: True, "", 1),
        Convention(
            "iclr23",
            lambda left, right: left >= 3 and right >= 3,
            "d_L ≥ 3 and d_R ≥ 3",
            lambda left, right: left >= 3 and right >= 3,
            "three inputs of one degree d ≥ 3 and d_R ≥ 3",
            3,
            zero_weights_are_edges=False,
        ),
        Convention(
            "neurips23",
            lambda left, right: left > 1 and right >= 3,
            "d_L > 1 and d_R ≥ 3",
            lambda left, right: left >= 3 and right > 1,
            "two inputs of one degree d ≥ 3 and d_R > 1",
            2,
            cheeger=True,
            mixing=True,
            undefined_counts_zero=True,
        ),
    )
}


def convention_named(name: str) -> Convention:
    """Return the convention of that name. Errors: InputError with a suggestion for another name."""
    if not isinstance(name, str) or name not in CONVENTIONS:
        near = suggest(name, CONVENTIONS)
        raise InputError(f"convention={name!r} is not one of {', '.join(CONVENTIONS)}; give one of them.{near}")
    return CONVENTIONS[name]
