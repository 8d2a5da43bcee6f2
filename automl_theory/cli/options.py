"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PROGRAM = "automl-theory"
WHAT, HOW, RUN, OUT = "What is scored", "How it is measured", "How it runs", "What comes out"
TRAINED = "Trained results"

Images = Annotated[
    str, typer.Option(help="digits, gaussian, a CIFAR-10/100 folder, or an .npz with x and y.", rich_help_panel=HOW)
]
BatchNorm = Annotated[str, typer.Option(help="BatchNorm in gradients: frozen, batch or running.", rich_help_panel=HOW)]
Table = Annotated[Path, typer.Argument(help="A score table (.parquet or .csv) or a store.", show_default=False)]
Accuracy = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Trained results: digits (bundled), a .csv or .parquet table keyed by architecture, or a file or folder "
        "of NAS-Bench-201 or NATS-Bench (converted once, it opens at once: accuracy convert).",
        rich_help_panel=TRAINED,
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        help="Data set, where there are several: cifar10, cifar10-valid, cifar100 or ImageNet16-120.",
        rich_help_panel=TRAINED,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(help="Epochs of the training schedule; the longest if left out.", rich_help_panel=TRAINED),
]
Split = Annotated[str | None, typer.Option(help="Only one of train, valid, test, valtest.", rich_help_panel=TRAINED)]
TrustPickle = Annotated[
    bool,
    typer.Option(
        "--trust-pickle",
        help="Unpickle the file, which runs whatever code it holds with your rights; without, none is run.",
        rich_help_panel=TRAINED,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="Accuracy or loss to compare with. Default: test_loss of digits, else test_accuracy.",
        rich_help_panel=TRAINED,
    ),
]
Direction = Annotated[
    str | None,
    typer.Option(
        metavar="maximize|minimize",
        help="Which way the target is good, where its name does not tell.",
        rich_help_panel=OUT,
    ),
]
Undefined = Annotated[
    str,
    typer.Option(
        metavar="drop|worst",
        help="Architectures without a value of a proxy: left out of its n, or ranked last.",
        rich_help_panel=OUT,
    ),
]
Interval = Annotated[
    str,
    typer.Option(
        metavar="bootstrap|analytic",
        help="How intervals are found; analytic is a hundred times faster.",
        rich_help_panel=OUT,
    ),
]
Network = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Another setting of the space's networks, as in layers=8; may be repeated.",
        rich_help_panel=HOW,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.", rich_help_panel=OUT)]
Given = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Partial correlation given this column; repeatable. Default: the sizes in the table.",
        rich_help_panel=OUT,
    ),
]
Top = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Best share by the target, ranked by itself as well.", rich_help_panel=OUT),
]
Picks = Annotated[int, typer.Option("-k", help="Picks that overlap and regret are about.", rich_help_panel=OUT)]
