"""A made-up study: the real graphs, numbers that follow depth and width with noise, and a few troubles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.studies.no_free_lunch import claims
from automl_theory.studies.no_free_lunch.intervals import Effort
from automl_theory.studies.no_free_lunch.setup import Setup
from automl_theory.studies.no_free_lunch.study import Study

EPOCHS = 30
SHARES = (0.0, 0.2, 0.5)


def graph_table(codes: tuple[str, ...]) -> pd.DataFrame:
    space, rows = MlpDag(3), []
    for code in codes:
        depths = space.graph(code).depth_histogram()
        paths, total = sum(depths.values()), sum(d * n for d, n in depths.items())
        linear, live = code.count("2"), len(space.linear_edges(code))
        label = f"({total / paths:.3g}, {paths})"
        rows.append((code, space.canonical(code), total / paths, paths, total, linear, live, label))
    names = ["arch", "canonical", "depth", "paths", "total_depth", "linear_edges", "live_linear_edges", "group"]
    return pd.DataFrame(rows, columns=names)


def outcomes(quality: np.ndarray, speed: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    noise = rng.normal(size=(3, len(quality))) * 0.2
    train = np.exp(-1 - quality + noise[0])
    gap = np.exp(-2 + quality / 2 + noise[1])
    return {
        "learning_rate": np.full(len(quality), 0.01),
        "train_loss": train,
        "test_loss": train + gap,
        "gap": gap,
        "train_accuracy": 100 - 10 * train,
        "test_accuracy": 95 - 10 * gap,
        "epochs_to_50": np.exp(speed + noise[2]),
        "halfway_loss": train + 0.005,
        "converged": np.ones(len(quality), dtype=bool),
        "status": np.full(len(quality), "ok"),
    }


def made(folder: Path = Path("runs/made"), codes: str | tuple[str, ...] = "classes") -> Study:
    setup = Setup(codes=codes, epochs=EPOCHS, seeds=(0, 1), measure_seeds=2)
    rng = np.random.default_rng(0)
    graph = graph_table(setup.architectures())
    depth, paths = graph["depth"].to_numpy(), graph["paths"].to_numpy()
    trained, measured = [], []
    for seed in setup.seeds:
        trained.append(
            pd.DataFrame({"arch": graph["arch"], "seed": seed, **outcomes(depth / 2, depth - paths / 2, rng)})
        )
        noise = np.exp(0.1 * rng.normal(size=(3, len(graph))))
        kappa, nngp, ntk = np.exp(depth - paths / 3) * noise[0], paths / (1 + depth) * noise[1], paths * noise[2]
        measured.append(
            pd.DataFrame(
                {
                    "arch": graph["arch"],
                    "seed": seed,
                    "curvature": kappa,
                    "curve_length": 1 / kappa,
                    "turning_angle": 5 + 2 * depth * noise[1],
                    "nngp_lambda_min": nngp,
                    "nngp_lambda_90": 3 * nngp,
                    "nngp_condition_number": 100 / nngp,
                    "ntk_lambda_min": ntk,
                    "ntk_lambda_90": 5 * ntk,
                    "ntk_condition_number": 50 * ntk,
                    "ntk_trace": 500 * ntk,
                    "cell_ntk_lambda_min": ntk * depth,
                    "stem_share": 0.5 + 0.1 * noise[0],
                    "status": "ok",
                }
            )
        )
    runs = pd.concat(trained, ignore_index=True)
    runs.loc[3, ["train_loss", "test_loss", "gap", "epochs_to_50"]] = np.nan
    runs.loc[3, "status"] = "diverged"
    runs.loc[5, "converged"] = False
    runs.loc[7, "epochs_to_50"] = np.nan
    scores = pd.concat(measured, ignore_index=True)
    exact = pd.DataFrame(
        {
            "arch": graph["arch"],
            **{name: paths / (1 + depth) for name in ("nngp_lambda_min", "nngp_bound", "pair_bound")},
            **{name: paths * 1.0 for name in ("ntk_lambda_min", "full_ntk_lambda_min", "ntk_bound", "risk_term")},
            "nngp_condition_number": 1.0 + depth,
            "ntk_condition_number": 1.0 + paths,
            "stem_share": 0.5,
        }
    )
    networks = [("single", np.nan, np.nan), ("wide", np.nan, np.nan), ("deep", np.nan, np.nan)]
    networks += [("ensemble", wide, deep) for wide in SHARES for deep in SHARES]
    names = pd.DataFrame(networks, columns=["network", "wide_pruning", "deep_pruning"])
    extras = pd.concat(
        [names.assign(seed=s, parameters=9000.0, **outcomes(rng.normal(size=len(names)), np.ones(len(names)), rng))
         for s in setup.seeds],
        ignore_index=True,
    )  # fmt: skip
    epochs = np.arange(1, EPOCHS + 1)
    speed = runs["epochs_to_50"].fillna(9.0).to_numpy()[:, None]
    curves = {
        "arch": runs["arch"].to_numpy(dtype=str),
        "seed": runs["seed"].to_numpy(),
        "loss": 2.3 * np.exp(-epochs / (3 * speed)),
        "accuracy": 100 - 90 * np.exp(-epochs / (3 * speed)),
    }
    warnings = pd.DataFrame(
        [("curvature", "κ after readout × 3, over κ", 1 / 3, 1 / 3), ("stem", "share of the trace", 0.9, np.nan)],
        columns=["warning", "quantity", "value", "expected"],
    )
    found = claims.claims(runs, scores, exact, graph, extras, effort=Effort(40, 2))
    about = {
        "settings": setup.settings(),
        "data": {"source": "made-up <digits>", "samples": 1797, "sha256": "0" * 16},
        "versions": {"numpy": np.__version__},
    }
    return Study(
        setup, folder, graph, exact, scores, runs, extras, curves, warnings, tuple(found), claims.claims_table(found),
        tuple(claims.summary(found, runs)), about, {"training": 61.2},
    )  # fmt: skip
