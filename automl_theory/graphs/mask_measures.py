"""The measures that `mask_metrics` takes of a layer, as data: direction, unit and formula of each."""

from __future__ import annotations

FACTS = (
    "inputs",
    "outputs",
    "groups",
    "n_left",
    "n_right",
    "edges",
    "density",
    "components",
    "degrees",
    "n_subgraphs",
    "subgraph_degrees",
)
"""What there is: numbers of nodes and edges."""

MEASURES = {
    "sigma1": ("maximize", "1", "σ1(B) = μ0"),
    "sigma2": ("minimize", "1", "σ2(B) = μ̂"),
    "expansion_ratio": ("maximize", "1", "n_R/n_L"),
    "ramanujan_gap": ("maximize", "1", "Δr = √(d_L - 1) + √(d_R - 1) - σ2"),
    "ramanujan_gap_normalised": ("maximize", "1", "Δr/bound"),
    "ramanujan_gap_eigen": ("maximize", "1", "Δs = 2√(σ1 - 1) - σ2"),
    "ramanujan_gap_eigen_normalised": ("maximize", "1", "Δs/bound"),
    "ramanujan_gap_regular": ("maximize", "1", "2√(d - 1) - σ2, d = 2E/(n_L + n_R)"),
    "ramanujan_gap_regular_normalised": ("maximize", "1", "the regular gap/bound"),
    "ramanujan_gap_per_group": ("maximize", "1", "mean over groups of Δr"),
    "ramanujan_gap_random": ("maximize", "1", "mean Δr of random masks of the same shape and edges"),
    "ramanujan_gap_excess": ("maximize", "1", "Δr per group - its random-mask value"),
    "narc": ("minimize", "1", "[(σ2²/4 + 1)√(n_L n_R) - E]/(n_L n_R)"),
    "narc_single_count": ("minimize", "1", "[(σ2²/4 + 1)√(n_L n_R) - |E - E n_R/outputs|]/(inputs outputs)"),
    "imdb": ("maximize", "1", "mean over d of Δr(K_d)"),
    "imdb_normalised": ("maximize", "1", "mean over d of Δr(K_d)/bound(K_d)"),
    "imdb_eigen": ("maximize", "1", "mean over d of Δs(K_d)"),
    "imdb_eigen_normalised": ("maximize", "1", "mean over d of Δs(K_d)/bound(K_d)"),
    "imdb_without_factor": ("maximize", "1", "imdb before the convention's factor"),
    "imdb_edge_weighted": ("maximize", "1", "Σ_d E(K_d) Δr(K_d) / Σ_d E(K_d)"),
    "imdb_or_gap": ("maximize", "1", "imdb_normalised, and where it has no value ramanujan_gap_normalised"),
    "expansion_max": ("maximize", "1", "max over d of n_R/n_L of K_d"),
    "expansion_mean": ("maximize", "1", "mean over d of n_R/n_L of K_d"),
    "weighted_gap": ("maximize", "weights", "λ = σ1(|W|) - σ2(|W|)"),
    "nested_weighted_gap": ("maximize", "weights", "mean over d of λ(K_d)"),
    "nested_weighted_gap_without_factor": ("maximize", "weights", "the nested gap before the convention's factor"),
    "mixing": ("minimize", "1", "[σ2 √(n_L n_R) - |2E - E n_L/N|]/N, N = n_L + n_R"),
    "mixing_weighted": ("minimize", "weights", "mixing with σ2(|W|)"),
    "nested_mixing": ("minimize", "1", "mean over d of [σ2 √(n_L n_R) - |2E - E n_R/N|]/N of K_d"),
    "nested_mixing_weighted": ("minimize", "weights", "nested mixing with σ2(|W|)"),
    "coordinate_length": ("maximize", "mixed", "‖coordinate‖₂"),
    "coordinate_distance": ("maximize", "mixed", "‖coordinate - coordinate at initialisation‖₂"),
    "channel_overlap": ("minimize", "1", "mean over input channels c of |∩_k N(c, k)| / min_k |N(c, k)|"),
}
"""Measure -> the direction somebody argues for, unit, formula; n_L, n_R, E, d without isolated nodes."""

OF_WEIGHTS = (
    "weighted_gap",
    "nested_weighted_gap",
    "nested_weighted_gap_without_factor",
    "mixing_weighted",
    "nested_mixing_weighted",
    "coordinate_length",
    "coordinate_distance",
)
"""Those that need the weights."""

MIXINGS = tuple(name for name in MEASURES if "mixing" in name)
"""Those of the neurips23 convention alone."""

NESTED = tuple(name for name in MEASURES if name.startswith(("imdb", "expansion_m", "nested")))
"""Those of the nested subgraphs."""

STATUSES = ("ok", "no_subgraphs", "low_degree", "collapsed")
"""By rising gravity: all defined that its inputs allow; no nested subgraph passes; the layer does not; no edge left."""
