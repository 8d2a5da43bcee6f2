"""automl-theory reproduce: papers measured anew, one command each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automl_theory.cli.options import HOW, OUT, RUN, WHAT, Force

if TYPE_CHECKING:
    from automl_theory.studies.no_free_lunch.setup import Setup

Run = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder that keeps everything finished, tables too; a stopped run goes on from it. Default: one in "
        "runs/, named by the settings.",
        rich_help_panel=RUN,
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes. Default: as many as there are cores.", rich_help_panel=RUN)
]

app = typer.Typer(no_args_is_help=True, help="Measure a paper's claims anew: agree, differ or cannot tell.")


Data = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="digits, a folder with CIFAR-10 or CIFAR-100, or a .npz with x and y. Default: digits.",
        rich_help_panel=WHAT,
    ),
]
TrainSamples = Annotated[
    int | None, typer.Option(help="Samples to train on; the rest is for the test.", rich_help_panel=WHAT)
]


def _check(output: Path, force: bool, seeds: int | None = None) -> None:
    """Refuse what would stop the study at its end."""
    from automl_theory.counts import whole
    from automl_theory.errors import require
    from automl_theory.scoring.files import check_free, check_writable

    require("jinja2", "report")
    if seeds is not None:
        whole("--seeds", seeds)
    check_free(check_writable(output, (".html", ".htm")), force)


@app.command("no-free-lunch")
def no_free_lunch(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="One code a class, few epochs: a look in minutes.", rich_help_panel=WHAT),
    ] = False,
    data: Data = None,
    train_samples: TrainSamples = None,
    seeds: Annotated[
        int | None, typer.Option(help="Training runs of each network. Default: 3.", rich_help_panel=HOW)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of training, the same for all.", rich_help_panel=HOW)
    ] = None,
    width: Annotated[int | None, typer.Option(help="Neurons a layer in training.", rich_help_panel=HOW)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Constant rate of SGD, the same for all.", rich_help_panel=HOW)
    ] = None,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Each network its own learning rate out of four.", rich_help_panel=HOW),
    ] = False,
    run: Run = None,
    workers: Workers = None,
    output: Annotated[Path, typer.Option("--html", "--output", help="The page to write.", rich_help_panel=OUT)] = Path(
        "no_free_lunch.html"
    ),
    force: Force = False,
) -> None:
    """No free lunch in neural architectures (Chen, Huang & Wang, 2023): 541 small networks, measured and trained.

    Writes a page with the paper's figures beside ours, and the tables behind it.
    """
    _check(output, force, seeds)
    from automl_theory.scoring.machine import usable_cores
    from automl_theory.studies.no_free_lunch.setup import FULL, QUICK

    given: dict[str, Any] = {
        "data": data,
        "train_samples": train_samples,
        "seeds": None if seeds is None else tuple(range(seeds)),
        "epochs": epochs,
        "width": width,
        "learning_rate": learning_rate,
        "tune": tune or None,
        "workers": usable_cores() if workers is None else workers,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    _no_free_lunch(replace(QUICK if quick else FULL, **chosen), run, output)


def _no_free_lunch(setup: Setup, folder: Path | None, output: Path) -> None:
    from automl_theory.studies.console import print_claims
    from automl_theory.studies.no_free_lunch.contents import HEADS
    from automl_theory.studies.no_free_lunch.page import write_page
    from automl_theory.studies.no_free_lunch.reproduce import run

    study = run(setup, folder, progress=True)
    print_claims(study.table, HEADS, study.summary)
    print(f"tables: {study.folder}\npage: {write_page(study, output)}")


@app.command("pruned-ntk")
def pruned_ntk(
    quick: Annotated[
        bool, typer.Option("--quick", help="4,096 networks in place of 12,800: seconds.", rich_help_panel=WHAT)
    ] = False,
    draws: Annotated[
        int | None, typer.Option(help="Networks of each pair of density and width.", rich_help_panel=HOW)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.", rich_help_panel=HOW)] = 0,
    run: Run = None,
    workers: Workers = None,
    output: Annotated[Path, typer.Option("--html", "--output", help="The page to write.", rich_help_panel=OUT)] = Path(
        "pruned_ntk.html"
    ),
    force: Force = False,
) -> None:
    """The NTK of randomly pruned networks (Yang & Wang, 2023): both theorems and the variance, on drawn networks.

    Writes a page with figures and verdicts, and the tables behind it.
    """
    _check(output, force)
    from automl_theory.scoring.machine import usable_cores
    from automl_theory.studies.console import print_claims
    from automl_theory.studies.pruned_ntk import contents, page, reproduce
    from automl_theory.studies.pruned_ntk.setup import FULL, QUICK

    base = QUICK if quick else FULL
    setup = replace(
        base,
        draws=base.draws if draws is None else draws,
        seed=seed,
        workers=usable_cores() if workers is None else workers,
    )
    study = reproduce.run(setup, reproduce.default_folder(setup) if run is None else run, progress=True)
    print_claims(contents.claims(study), contents.HEADS, contents.summary(study))
    print(f"tables: {study.folder}\npage: {page.write_page(study, output)}")


@app.command("sparse-masks")
def sparse_masks(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fewer methods, seeds and epochs: a look in a minute.", rich_help_panel=WHAT),
    ] = False,
    data: Data = None,
    train_samples: TrainSamples = None,
    seeds: Annotated[
        int | None, typer.Option(help="Initialisations of each network. Default: 5.", rich_help_panel=HOW)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every training.", rich_help_panel=HOW)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Rate of SGD at the start, the same for all masks.", rich_help_panel=HOW)
    ] = None,
    population: Annotated[
        int | None, typer.Option(help="Candidates of full-spectrum pruning.", rich_help_panel=HOW)
    ] = None,
    run: Run = None,
    workers: Workers = None,
    output: Annotated[Path, typer.Option("--html", "--output", help="The page to write.", rich_help_panel=OUT)] = Path(
        "sparse_masks.html"
    ),
    force: Force = False,
) -> None:
    """Masks as graphs (Hoang et al., 2023): pruned by fourteen methods, measured and trained. Which measures rank them?

    Writes a page with figures and answers, and the tables behind it.
    """
    _check(output, force, seeds)
    from automl_theory.scoring.machine import usable_cores
    from automl_theory.studies import sparse_masks as study_of
    from automl_theory.studies.console import print_claims
    from automl_theory.studies.sparse_masks import answers, contents, page

    given: dict[str, Any] = {
        "data": data,
        "train_samples": train_samples,
        "seeds": None if seeds is None else tuple(range(seeds)),
        "epochs": epochs,
        "learning_rate": learning_rate,
        "population": population,
        "workers": usable_cores() if workers is None else workers,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    study = study_of.run(replace(study_of.QUICK if quick else study_of.FULL, **chosen), run, progress=True)
    found, cells = answers.answers(study), answers.cell_table(study)
    keep_tables(study.folder, answers=found, cells=cells)
    print_claims(found, answers.HEADS, contents.summary(found))
    print(f"tables: {study.folder}\npage: {page.write_page(study, found, cells, output)}")


def keep_tables(folder: Path, **tables: Any) -> None:
    """Write what was made of a run's tables beside them, as <name>.csv."""
    from functools import partial

    from automl_theory.studies.folder import write_whole

    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", partial(table.to_csv, index=False))
