"""automl-theory score."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automl_theory.cli.networks import network as network_of
from automl_theory.cli.one_network import refuse_others, score_module
from automl_theory.cli.options import (
    HOW,
    OUT,
    RUN,
    WHAT,
    Accuracy,
    BatchNorm,
    Dataset,
    Direction,
    Epochs,
    Images,
    Network,
    Split,
    Target,
    TrustPickle,
)
from automl_theory.cli.tables import check_trained, direction_of, join_trained, load_trained, show_ranking, with_graph
from automl_theory.errors import FailedScores, InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from automl_theory.spaces import Space


def score(
    context: typer.Context,
    space: Annotated[
        str | None, typer.Argument(help="A space (see: list spaces).", metavar="SPACE", show_default=False)
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(help="Instead of a space, one network: package.module:factory.", rich_help_panel=WHAT),
    ] = None,
    proxies: Annotated[
        str,
        typer.Option(
            help="core, zero_cost, composite, full, or names with commas between (see: list proxies).",
            rich_help_panel=WHAT,
        ),
    ] = "core",
    sample: Annotated[
        int | None,
        typer.Option(help="How many architectures to draw; the whole space if left out.", rich_help_panel=WHAT),
    ] = None,
    sample_seed: Annotated[int, typer.Option(help="Seed of the draw.", rich_help_panel=WHAT)] = 0,
    strings: Annotated[
        bool, typer.Option("--strings", help="Draw strings, not classes of equal networks.", rich_help_panel=WHAT)
    ] = False,
    arch: Annotated[
        list[str] | None,
        typer.Option(help="Score this architecture; may be repeated.", rich_help_panel=WHAT, show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="How many seeds of the weights (0…k−1) to average over. Default: 1; a --module keeps its weights.",
            rich_help_panel=HOW,
        ),
    ] = None,
    data: Images = "digits",
    n: Annotated[int, typer.Option("--n", help="Images per score.", rich_help_panel=HOW)] = 64,
    data_seed: Annotated[int, typer.Option(help="Seed of the batch.", rich_help_panel=HOW)] = 0,
    resolution: Annotated[int, typer.Option(help="Side of the images.", rich_help_panel=HOW)] = 32,
    in_channels: Annotated[int, typer.Option(help="Channels of the images.", rich_help_panel=HOW)] = 3,
    preset: Annotated[
        str | None,
        typer.Option(
            help="canonical (the benchmark's network; in nas_bench_201 16 channels, 5 cells a stage) or reduced (a "
            "smaller one: 1 cell a stage). Default: canonical, in spaces that have presets.",
            rich_help_panel=HOW,
        ),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Channels of the network, instead of the preset's.", rich_help_panel=HOW)
    ] = None,
    cells_per_stage: Annotated[
        int | None,
        typer.Option(
            "--cells-per-stage", "--cells", help="Cells a stage, instead of the preset's.", rich_help_panel=HOW
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Neurons a layer (mlp_dag). Default: 256.", rich_help_panel=HOW)
    ] = None,
    network: Network = None,
    bn: BatchNorm = "frozen",
    output: Annotated[str, typer.Option(help="NTK over the outputs: sum or trace.", rich_help_panel=HOW)] = "sum",
    biases: Annotated[bool, typer.Option("--biases", help="Count biases in the NTK.", rich_help_panel=HOW)] = False,
    init: Annotated[
        str | None,
        typer.Option(
            help="Initialisation: pytorch, he_fan_in or he_fan_out. Default: the space's own (mlp_dag: he_fan_in, "
            "others: pytorch).",
            rich_help_panel=HOW,
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.", rich_help_panel=HOW)] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.", rich_help_panel=RUN)] = "cpu",
    store: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps every result; a stopped run goes on from it. Default: one in runs/, named by what is "
            "measured.",
            rich_help_panel=RUN,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; 0 is this one. Default: as many as there are cores.", rich_help_panel=RUN),
    ] = None,
    threads: Annotated[int, typer.Option(help="torch threads of each worker.", rich_help_panel=RUN)] = 1,
    together: Annotated[
        int | None,
        typer.Option(
            help="Architectures that share weights in one pass (nas_bench_201). Default: 16 on a GPU, else 1.",
            rich_help_panel=RUN,
        ),
    ] = None,
    executor: Annotated[
        str, typer.Option(help="processes of this machine, or ray: a Ray cluster (docs/ray.md).", rich_help_panel=RUN)
    ] = "processes",
    address: Annotated[
        str | None,
        typer.Option(
            help="With ray: HOST:PORT of a running cluster, or auto. Default: one on this machine for the run.",
            rich_help_panel=RUN,
        ),
    ] = None,
    gpus_per_task: Annotated[
        float, typer.Option(help="With ray: GPUs of each worker; 0.25 lets four share one.", rich_help_panel=RUN)
    ] = 0.0,
    shard: Annotated[
        str | None, typer.Option(help="i/n: score the i-th of n parts (then: merge).", rich_help_panel=RUN)
    ] = None,
    allow_mismatch: Annotated[
        bool,
        typer.Option("--allow-mismatch", help="Go on on another machine or version.", rich_help_panel=RUN),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Score again what failed before.", rich_help_panel=RUN)
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the table to this .parquet or .csv; rewritten by each run.", rich_help_panel=OUT),
    ] = None,
    accuracy: Accuracy = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    split: Split = None,
    trust_pickle: TrustPickle = False,
    target: Target = None,
    target_direction: Direction = None,
) -> None:
    """Score a search space, or one network (--module), without training anything."""
    if (space is None) == (module is None):
        raise InputError(f"name a space or a --module, not {'neither' if space is None else 'both'}; see: list spaces")
    if export is not None:
        from automl_theory.scoring.files import SUFFIXES, check_apart, check_writable

        check_writable(export, SUFFIXES)
        check_apart(export, {"the store": store, "the table of --accuracy": accuracy})
    if module is not None:
        refuse_others(context)
        score_module(
            module, export, proxies=proxies, seeds=seeds, data=data, n=n, data_seed=data_seed, resolution=resolution,
            in_channels=in_channels, bn=bn, output=output, biases=biases, init=init or "pytorch", dtype=dtype,
            device=device,
        )  # fmt: skip
        return
    assert space is not None
    chosen = {"channels": channels, "cells_per_stage": cells_per_stage, "width": width}
    from automl_theory.scoring.measurement import own_init
    from automl_theory.spaces import space as make_space

    where = make_space(space)
    selection = {"dataset": dataset, "epochs": epochs, "split": split, "trust_pickle": trust_pickle}
    measurement = {
        "n": n, "data_seed": data_seed, "resolution": resolution, "in_channels": in_channels,
        "network": network_of(where, preset, chosen, network), "bn": bn, "output": output,
        "biases": biases, "init": init or own_init(where), "dtype": dtype, "device": device,
    }  # fmt: skip
    _score_space(
        where, proxies, data, measurement, store, export,
        (accuracy, target, target_direction, selection),
        architectures=arch or None, sample=sample, strings=strings, sample_seed=sample_seed,
        seeds=1 if seeds is None else seeds, workers=workers, threads=threads, together=together, executor=executor,
        address=address, gpus_per_task=gpus_per_task, shard=shard, allow_mismatch=allow_mismatch,
        retry_failed=retry_failed,
    )  # fmt: skip


def _score_space(
    where: Space,
    proxies: str,
    data: str,
    measurement: dict[str, Any],
    store: Path | None,
    export: Path | None,
    compared: tuple[str | None, str | None, str | None, dict[str, Any]],
    *,
    together: int | None,
    **options: Any,
) -> None:
    from rich.console import Console

    from automl_theory.progress import ProgressLine

    console = Console(stderr=True, highlight=False)
    with ProgressLine(console, f"scoring {where.name}") as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", FailedScores)  # They are printed below.
        from automl_theory.scoring.engine import score_space
        from automl_theory.scoring.measurement import Measurement, default_store
        from automl_theory.scoring.together import choose_together

        measured = Measurement(**measurement)
        accuracy, target, direction, selection = compared
        trained, target = load_trained(accuracy, target, **selection)
        if trained is not None and target is not None:
            check_trained(where, trained, target)
            direction = direction_of(target, direction)
        together = choose_together(together, where, measured)
        path = store if store is not None else default_store(where, measured, data, together)
        table = score_space(
            where, proxies, data, measurement=measured, store=path, together=together, progress=progress, **options
        )
    from automl_theory.terminal import print_best

    scored = set(table["canonical"])
    _print_incidents(path, scored, console)
    table = with_graph(table, where)
    if export is not None:
        from automl_theory.scoring.files import write_table

        write_table(table, export)
        console.print(f"table: {export}", markup=False, soft_wrap=True)
    console.print(f"store: {path} ({len(table)} architectures)", markup=False, soft_wrap=True)
    if trained is not None and target is not None:
        show_ranking(join_trained(table, trained), target, target_direction=direction)
    else:
        print_best(table)
    if _all_failed(table):
        raise InputError(
            f"nothing could be scored: all {len(table)} architectures failed, for the reasons told above; change the "
            "settings, or give --retry-failed where the reason was passing"
        )


def _all_failed(table: pd.DataFrame) -> bool:
    measured = [name for name in table.attrs["proxies"] if f"{name}_std" in table]
    return bool(measured) and bool((table[[f"{name}_status" for name in measured]] == "failed").all(axis=None))


def _print_incidents(path: Path, scored: set[str], console: Console) -> None:
    """Tell what failed and which kernels were computed the slower way, as the store recorded it."""
    from automl_theory.scoring.failures import failures_of
    from automl_theory.scoring.store import ScoreStore
    from automl_theory.terminal import print_failures, print_kernels

    again = "--retry-failed scores them again, helpful where the reason was passing: memory, a killed worker"
    print_failures([failure for failure in failures_of(path) if failure[0] in scored], again, console)
    with ScoreStore.existing(path) as kept:
        runs = kept.read_runs()
    print_kernels(list(runs[runs["arch"].isin(scored)][["arch", "detail"]].itertuples(index=False, name=None)), console)
