"""The correlations published for training-free scores on NAS-Bench-201, CIFAR-10, recomputed with intervals.

    AUTOML_THEORY_SHARED=../shared python benchmarks/published_correlations.py [--interval bootstrap]

Target: CIFAR-10 test accuracy after 200 epochs, mean of three seeds (NATS-Bench v1.0), all 15,625 strings. Two policies
for cells where a score is undefined: "drop" leaves them out of n, "worst" ranks them last. Undefined are: NASWOT and
log SynFlow at −inf (201 and 341 cells), Zen at its sentinel −10⁸ (341). LogSynFlow and the number of linear regions
(0 in 201 cells, a value) are always defined. The published Zen figures are those of "worst".
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import automl_theory as at

OUT = Path(__file__).parent / "results" / "published_correlations.json"
SCORES = {
    "naswot": "freerea_naswot_c10",
    "synflow": "freerea_log10synflow_c10",
    "logsynflow": "freerea_logsynflow_c10",
    "linear_regions": "freerea_nregions_c10",
    "zen": "naslib_zen_c10",
}
PUBLISHED = {
    ("naswot", "drop"): (0.785, 0.598, 15424),
    ("naswot", "worst"): (0.793, 0.608, 15625),
    ("synflow", "drop"): (0.753, 0.552, 15284),
    ("synflow", "worst"): (0.769, 0.571, 15625),
    ("logsynflow", "drop"): (0.826, 0.630, 15625),
    ("linear_regions", "drop"): (0.725, 0.539, 15625),
    ("zen", "worst"): (0.386, 0.296, 15625),
    ("parameters", "drop"): (0.753, 0.578, 15625),
}
"""(score, policy): Spearman ρ, Kendall τ, n."""


def load(folder: Path) -> pd.DataFrame:
    """The published scores beside accuracy, sizes and class of each architecture string."""
    accuracies = pd.read_parquet(folder / "nb201_accuracy.parquet").set_index("index")
    scores = pd.read_parquet(folder / "nb201_zerocost.parquet").set_index("index").loc[accuracies.index]
    space = at.space("nas_bench_201")
    archs = [str(arch) for arch in accuracies["arch_str"]]
    columns: dict[str, Any] = {name: scores[source].astype(float).to_numpy() for name, source in SCORES.items()}
    df = pd.DataFrame(columns, index=pd.Index(archs, name="arch"))
    df = df.where(np.isfinite(df) & (df > -1e7))
    df["parameters"] = accuracies["params_c10"].to_numpy()
    df["macs"] = accuracies["flops_c10"].to_numpy()
    df["trainable_layers"] = [space.size_metrics(arch)["trainable_layers"] for arch in archs]
    df.attrs["proxies"] = {
        name: {"family": "size" if name not in SCORES else "other", "direction": "maximize"} for name in df.columns
    }
    df["test_accuracy"] = accuracies["c10_test_e200"].astype(float).to_numpy()
    df["canonical"] = [space.canonical(arch) for arch in archs]
    return df


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interval", choices=["bootstrap", "analytic"], default="bootstrap")
    options = parser.parse_args()
    default = Path(__file__).resolve().parents[2] / "shared"
    df = load(Path(os.environ.get("AUTOML_THEORY_SHARED") or default) / "data")
    report: dict[str, Any] = {
        "target": "CIFAR-10 test accuracy, 200 epochs, mean of 3 seeds (NATS-Bench v1.0)",
        "policies": {"drop": "undefined cells left out of n", "worst": "undefined cells ranked last"},
        "intervals": f"95 %, {options.interval}, over classes of equal networks",
        "rows": [],
    }
    for policy in ("drop", "worst"):
        ranking = at.rank(df, "test_accuracy", undefined=policy, interval=options.interval)
        report["given"] = ranking.attrs["ranking"]["given"]
        for name, row in ranking.iterrows():
            published = PUBLISHED.get((str(name), policy))
            numbers = {key: round(float(row[key]), 4) for key in row.index if isinstance(row[key], float)}
            entry = {"score": name, "policy": policy, "n": int(row["n"]), "classes": int(row["classes"]), **numbers}
            entry = {key: None if value != value else value for key, value in entry.items()}
            if published is not None:
                found = (round(row["spearman"], 3), round(row["kendall"], 3), int(row["n"]))
                entry |= {"published": dict(zip(("spearman", "kendall", "n"), published, strict=True))}
                entry |= {"reproduced": found == published}
                print(f"{name:16} {policy:6} ρ τ n: {found}, published {published}: {found == published}", flush=True)
            report["rows"].append({**entry, "note": row["note"]})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
