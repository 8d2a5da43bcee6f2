"""What the page and the terminal say of the sparse-masks study, before it is laid out."""

from __future__ import annotations

import pandas as pd

from automl_theory.progress import duration
from automl_theory.studies import svg
from automl_theory.studies.page import Page, Part, text_table
from automl_theory.studies.sparse_masks import figures
from automl_theory.studies.sparse_masks.answers import HEADS, RANKING, VERDICTS
from automl_theory.studies.sparse_masks.study import Study

TITLE = "Which sparse masks train well, and what their graphs say"
RULES = (
    "Every question is whether a number is above a bar. Yes: the whole interval is above it. No: none of it is. Cannot "
    "tell: the bar lies inside.",
    "The bars: 0.2 for a rank correlation, 0 for a difference or a slope, 0.5 for R², 0.75 of pairs for telling masks "
    "apart.",
    "Rank correlations are means over cells of one network and one density, the measure in its good direction. Their "
    "intervals resample methods, and seeds within all of them; those of differences resample pairs, and those of "
    "shares are Wilson's. Fewer than 5 numbers give no interval.",
    "Numbers beside ours: the ICLR 2023 paper's released tables (18 masks a cell of ResNet-34 or VGG-16 on CIFAR); "
    "words: the abstracts.",
)


def summary(answers: pd.DataFrame) -> tuple[str, ...]:
    """What came out, in a few sentences."""
    counts = answers["verdict"].value_counts()
    told = [", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)]
    told = [f"{len(answers)} questions: {told[0]}."]
    for words, start in (
        ("Ranks masks of one network and density", "Does it rank"),
        ("Full-spectrum pruning beats", "Does full-spectrum"),
    ):
        part = answers[answers["section"].str.startswith(start)]
        for verdict, said in (("yes", ""), ("no", "not ")):
            named = part.loc[part["verdict"] == verdict, "name"].tolist()
            told += [f"{words}: {said}{', '.join(named)}."] if named else []
    return tuple(told)


def page(study: Study, answers: pd.DataFrame, cells: pd.DataFrame, title: str = TITLE) -> Page:
    """The whole page, of a study, its `answers.answers` and `answers.cell_table`."""
    networks = study.setup.networks
    sections = list(dict.fromkeys(answers["section"]))
    accuracy = study.masks.pivot_table(
        index=["network", "method"], columns="density", values="test_accuracy", sort=False
    ).reset_index()
    accuracy.columns = pd.Index([c if isinstance(c, str) else f"density {c:g}" for c in accuracy.columns])
    parts = (
        Part(
            "accuracy",
            "What the masks train to",
            (
                "Every mask of a network is trained with one recipe. full_spectrum, pretrained_base and "
                "pretrained_magnitude go on from weights after a few dense epochs; rewound has seen whole trainings, "
                "and is the reference.",
            ),
            tuple(figures.draw_accuracy(study.masks, network) for network in networks),
            (text_table("Mean test accuracy, %", accuracy, sortable=True),),
        ),
        Part(
            "measures",
            "Measures against accuracy",
            ("Inside a density the global budget is the same for all; the mean density of layers is not.",),
            (
                figures.draw_claims(answers, sections[0], "ranks", "Does it rank?", "ρ inside cells"),
                *(
                    figures.draw_measure(study.masks, network, measure, words)
                    for measure, words in (
                        ("mean_layer_density", "mean layer density"),
                        ("imdb_normalised", "IMDB"),
                        ("coordinate_length", "coordinate's length"),
                    )
                    for network in networks
                ),
            ),
        ),
        Part(
            "narc",
            "From a structured mask to a random one",
            ("A growing share of a mask's edges is moved to places drawn at random, until density alone is left.",),
            tuple(figures.draw_degenerating(study.degenerating, network) for network in networks),
        ),
        Part(
            "dynamic",
            "Dynamic sparse training, followed",
            (
                "SET and RigL move the masks while they train; a static twin takes the same steps with its first mask. "
                "Gap and IMDB change with the mask alone, the weighted gap with the weights.",
            ),
            (
                *(
                    figures.draw_followed(study.followed, network, measure, words)
                    for measure, words in (
                        ("ramanujan_gap", "Ramanujan gap"),
                        ("imdb", "IMDB"),
                        ("weighted_gap", "weighted gap"),
                    )
                    for network in networks
                ),
                figures.draw_drift(study.followed, "ramanujan_gap_excess", "gap minus a random mask's"),
            ),
        ),
        Part(
            "tables",
            "Tables",
            tables=(
                text_table("Rank correlations of every cell", _shown(cells), folded=True, sortable=True),
                text_table("Networks that were not pruned", study.dense, folded=True),
                text_table("Twice the epochs", study.doubled, folded=True),
                text_table("Where NaRC crosses zero over densities", study.crossings, folded=True),
            ),
        ),
    )
    return Page(
        title,
        summary(answers),
        (
            "D. Hoang, S. Liu, R. Marculescu, Z. Wang, “Revisiting Pruning at Initialization through the Lens of "
            "Ramanujan Graph”, ICLR 2023.",
            "D. Hoang, S. Kundu, S. Liu, Z. Wang, “Don't just prune by magnitude! Your mask topology is a secret "
            "weapon”, NeurIPS 2023.",
            f"Here: {study.about['data']['name']}, {study.about['data']['train']} training and "
            f"{study.about['data']['test']} test images, a small convolutional network and a perceptron.",
        ),
        "The questions, and this run",
        HEADS,
        RULES,
        VERDICTS,
        answers,
        parts,
        facts(study),
    )


def _shown(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of cells in words, each value with its interval behind it."""

    def interval(name: str) -> list[str]:
        ends = cells[[f"{name}_low", f"{name}_high"]].itertuples(index=False)
        return [f"{svg.number(low)} to {svg.number(high)}" if low == low else "–" for low, high in ends]

    return pd.DataFrame(
        {
            "network": cells["network"],
            "density": cells["density"],
            "measure": [RANKING[name][0] for name in cells["measure"]],
            "ρ": cells["rho"],
            "95 %": interval("rho"),
            "ρ given mean layer density": cells["partial"],
            "95 %, given it": interval("partial"),
            "masks": cells["n"],
        }
    )


def facts(study: Study) -> tuple[tuple[str, str], ...]:
    """How the numbers came about, as (name, value): everything to run it again."""
    setup = study.setup
    masks = study.masks
    trained = masks["converged"].astype(bool)
    return (
        ("masks trained", f"{len(masks)}: {len(setup.methods)} methods, densities, seeds and networks"),
        ("densities", ", ".join(f"{density:g}" for density in setup.densities)),
        ("seeds", ", ".join(map(str, setup.seeds))),
        ("converged", f"{int(trained.sum())} of {len(masks)} (the last quarter changed accuracy by at most a point)"),
        (
            "epochs",
            f"{setup.epochs} of batches of {setup.batch_size}, rate {setup.learning_rate:g} (mlp on images of n > 64 "
            "numbers: times 576/(n + 512)), cosine",
        ),
        ("full-spectrum", f"base {setup.base}, {setup.population} candidates, after {setup.dense_epochs} dense epochs"),
        ("data", str(study.about["data"]["source"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in study.about["versions"].items())),
        ("time", duration(sum(study.seconds.values()))),
    )
