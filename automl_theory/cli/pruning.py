"""automl-theory prune."""

from __future__ import annotations

import inspect
import string
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automl_theory.cli.options import Force
from automl_theory.errors import AutoMLTheoryError, InputError, suggest

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from torch import nn

NET, HOW, OUT = "What is pruned", "How it is pruned", "What comes out"
CONVENTIONS = ("strict", "iclr23", "neurips23")
SHOWN = {
    "ramanujan_gap_normalised": "gap",
    "ramanujan_gap_excess": "excess",
    "imdb": "IMDB",
    "weighted_gap": "λ",
}
LEGEND = (
    "gap: Ramanujan gap Δr = √(d_L-1) + √(d_R-1) - σ2, divided by its bound. excess: Δr minus that of random masks of "
    "the same shape and number of weights, undivided. IMDB: mean Δr of the nested subgraphs of equal input degree. "
    "λ: σ1 - σ2 of |W|, in units of the weights. –: undefined."
)


def prune(
    module: Annotated[
        str,
        typer.Argument(
            help="A network, package.module:factory; or a space (see: list spaces), of which --arch names the network.",
            metavar="MODULE",
            show_default=False,
        ),
    ],
    method: Annotated[
        str,
        typer.Option(
            help="random, uniform, erk, magnitude, snip, iterative_snip, force, grasp, synflow or phew.",
            rich_help_panel=HOW,
        ),
    ] = "synflow",
    density: Annotated[float, typer.Option(help="Share of weights to keep, in (0, 1].", rich_help_panel=HOW)] = 0.05,
    scope: Annotated[
        str | None,
        typer.Option(
            metavar="global|layer",
            help="Compare all weights, or give each layer the same share. Default: global; uniform, erk and phew "
            "divide the budget by themselves.",
            rich_help_panel=HOW,
        ),
    ] = None,
    convention: Annotated[
        str,
        typer.Option(
            metavar="strict|iclr23|neurips23",
            help="strict, or as a paper's released code: iclr23 method and measures, neurips23 the measures.",
            rich_help_panel=HOW,
        ),
    ] = "strict",
    data: Annotated[
        str, typer.Option(help="digits, gaussian, a CIFAR-10/100 folder, or an .npz with x and y.", rich_help_panel=HOW)
    ] = "digits",
    n: Annotated[int, typer.Option("--n", help="Images that the method sees.", rich_help_panel=HOW)] = 64,
    seed: Annotated[
        int,
        typer.Option(help="Of the batch, of what is drawn, and of weights that a factory draws.", rich_help_panel=HOW),
    ] = 0,
    resolution: Annotated[int, typer.Option(help="Side of the images.", rich_help_panel=HOW)] = 32,
    in_channels: Annotated[int, typer.Option(help="Channels of the images.", rich_help_panel=HOW)] = 3,
    arch: Annotated[
        str | None,
        typer.Option(help="The architecture, in a space.", rich_help_panel=NET, show_default=False),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Channels of a space's network. Default: its own.", rich_help_panel=NET)
    ] = None,
    cells_per_stage: Annotated[
        int | None,
        typer.Option("--cells-per-stage", "--cells", help="Cells a stage, likewise.", rich_help_panel=NET),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Neurons a layer (mlp_dag), likewise.", rich_help_panel=NET)] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the masks to this .npz (data alone, no code).", rich_help_panel=OUT)
    ] = None,
    force: Force = False,
) -> None:
    """Prune one network at initialisation, and print what is left of each layer and how well it is connected."""
    from automl_theory.pruning.budgets import check_density
    from automl_theory.scoring.files import check_free, check_writable

    share = check_density(density)
    if convention not in CONVENTIONS:
        raise InputError(
            f"unknown --convention {convention!r}; use {', '.join(CONVENTIONS)}.{suggest(convention, CONVENTIONS)}"
        )
    if seed < 0:
        raise InputError(f"expected --seed of at least 0, got {seed}; give 0 or more")
    if output is not None:
        check_free(check_writable(output, (".npz",)), force)
    from rich.console import Console

    chosen = {"channels": channels, "cells_per_stage": cells_per_stage, "width": width}
    shape = {"in_channels": in_channels, "resolution": resolution}
    net = _network(module, arch, seed, shape, {name: value for name, value in chosen.items() if value is not None})
    console = Console(stderr=True, highlight=False, markup=False)
    masks = _masks(net, module, method, share, scope, convention, data, n, seed, shape, console)
    table = _measured(net, masks, convention, console)
    print_layers(table)
    if output is not None:
        from automl_theory.pruning.mask_files import save_masks

        output.parent.mkdir(parents=True, exist_ok=True)
        save_masks(masks, output)
        console.print(f"masks: {output}", soft_wrap=True)


def _network(module: str, arch: str | None, seed: int, shape: dict[str, int], chosen: dict[str, int]) -> nn.Module:
    """The network of package.module:factory, or of a space and its architecture."""
    import torch

    if ":" in module:
        for name in (*(["arch"] if arch is not None else []), *chosen):
            option = name.replace("_", "-")
            raise InputError(f"--{option} is for a network of a space; leave it out with {module}")
        from automl_theory.scoring.named_module import load_factory

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            return load_factory(module)
    from automl_theory.spaces import list_spaces
    from automl_theory.spaces import space as make_space

    if module not in list_spaces():
        raise InputError(
            f"{module!r} is neither package.module:factory nor a space ({', '.join(list_spaces())}); give one of these."
            f"{suggest(module, list_spaces())}"
        )
    if arch is None:
        raise InputError(f"{module} is a space; name the network in it with --arch")
    where = make_space(module)
    takes = inspect.signature(where.build).parameters
    for name in chosen:
        if name not in takes:
            raise InputError(f"networks of {module} have no --{name.replace('_', '-')}; leave it out")
    network: dict[str, Any] = chosen | {name: value for name, value in shape.items() if name in takes}
    return where.build(arch, seed=seed, **network)


def _masks(
    net: nn.Module,
    name: str,
    method: str,
    density: float,
    scope: str | None,
    convention: str,
    data: str,
    n: int,
    seed: int,
    shape: dict[str, int],
    console: Console,
) -> dict[str, Any]:
    """The masks of `at.prune`, on a batch where the method needs one."""
    from automl_theory.progress import PATIENCE_SECONDS, ProgressLine
    from automl_theory.pruning.at_init import METHODS
    from automl_theory.pruning.at_init import prune as prune_at_init

    x = y = None
    if method in METHODS and METHODS[method].needs:
        from automl_theory.data import load_batch

        batch = load_batch(data, n, seed, size=shape["resolution"], channels=shape["in_channels"])
        x, y = batch.x, batch.y
        _check_fits(net, name, x)
    with ProgressLine(console, f"pruning with {method}", PATIENCE_SECONDS) as progress:
        return prune_at_init(
            net,
            method,
            density,
            x,
            y,
            seed,
            scope=scope,
            convention="iclr23" if convention == "iclr23" else "strict",
            progress=progress,
        )


def _check_fits(net: nn.Module, name: str, x: Any) -> None:
    """Raise InputError, with the options that help, unless the network can be called on such images."""
    import torch

    from automl_theory.errors import reason
    from automl_theory.probing.call import call
    from automl_theory.probing.untouched import untouched

    try:
        with untouched(net), torch.no_grad():
            net.eval()
            call(net, x[:2])
        return
    except AutoMLTheoryError as error:
        why = str(error)
    except (Exception, SystemExit) as error:
        why = reason(error)
    raise InputError(
        f"{name} cannot be pruned on images of shape {tuple(x.shape[1:])}: {why} (--in-channels and --resolution "
        "change the shape)"
    )


def _measured(net: nn.Module, masks: dict[str, Any], convention: str, console: Console) -> pd.DataFrame:
    """The table of `at.mask_table`, with a column "shape", measured layer by layer under a progress line."""
    import pandas as pd

    from automl_theory.graphs.mask_table import mask_table
    from automl_theory.progress import PATIENCE_SECONDS, ProgressLine
    from automl_theory.pruning.masks import graph_settings

    weights = dict(net.named_parameters())
    rows = []
    with ProgressLine(console, "measuring layers", PATIENCE_SECONDS) as progress:
        for done, (name, mask) in enumerate(masks.items()):
            progress(done, len(masks), 0)
            rows.append(mask_table({name: mask}, weights, convention, **graph_settings(net, {name: mask})))
        progress(len(masks), len(masks), 0)
    table = pd.concat(rows)
    table.attrs = rows[0].attrs | {"reasons": {name: why for row in rows for name, why in row.attrs["reasons"].items()}}
    table.insert(0, "shape", ["×".join(map(str, mask.shape)) for mask in masks.values()])
    table.insert(1, "weights", [mask.numel() for mask in masks.values()])
    return table


def print_layers(table: pd.DataFrame, console: Console | None = None) -> None:
    """Print a row a layer, the network last, and below what the columns are and why something is undefined."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from automl_theory.graphs.mask_aggregate import aggregate_masks

    console = console or Console()
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("layer", overflow="fold")
    grid.add_column("shape", overflow="fold")
    for column in ("kept", "density", *SHOWN.values()):
        grid.add_column(column, justify="right", no_wrap=True)
    grid.add_column("why", no_wrap=True)
    kinds = [_kind(table, layer) for layer in table.index]
    letters = dict(zip(filter(None, dict.fromkeys(kinds)), string.ascii_lowercase, strict=False))
    for (name, row), kind in zip(table.iterrows(), kinds, strict=True):
        numbers = [_number(row[measure]) for measure in SHOWN]
        layer = escape(str(name).removesuffix(".weight"))
        kept = str(row["edges"])
        grid.add_row(layer, row["shape"], kept, f"{row['density']:.4f}", *numbers, letters.get(kind, ""))
    network = aggregate_masks(table, measures=list(SHOWN))
    stay, weights = int(table["edges"].sum()), int(table["weights"].sum())
    means = [_number(value) for value in network["value"]]
    grid.add_row("network", "", str(stay), f"{stay / weights:.4f}", *means, "", style="bold")
    console.print(grid, highlight=False)
    for kind, letter in letters.items():
        which = table[[other == kind for other in kinds]]
        others = f" (and {len(which) - 1} more layers likewise)" if len(which) > 1 else ""
        first, reason = str(which.index[0]).removesuffix(".weight"), which["reason"].iloc[0]
        told = f"{kind}: {first}: {reason}" if reason else f"undefined: {first}: {kind}"
        console.print(f"{letter}  {told}{others}", highlight=False, markup=False)
    shares = ", ".join(
        f"{label} {round(share * len(table))}"
        for label, share in zip(SHOWN.values(), network["share_defined"], strict=True)
    )
    console.print(
        f"{stay} of {weights} weights stay. Network: means over the layers where defined (of {len(table)}: {shares}); "
        f"mean density of the layers {table['density'].mean():.4f}.",
        highlight=False,
        markup=False,
    )
    console.print(LEGEND, style="dim", highlight=False, markup=False)


def _kind(table: pd.DataFrame, layer: Any) -> str:
    """What keeps a layer's shown measures from being defined: its status, or each measure's reason; "" for none."""
    if table.loc[layer, "status"] != "ok":
        return str(table.loc[layer, "status"])
    reasons, row = table.attrs["reasons"][layer], table.loc[layer]
    return "; ".join(dict.fromkeys(reasons[measure] for measure in SHOWN if row[measure] != row[measure]))


def _number(value: float) -> str:
    """Three decimals, three figures from 10 on; "–" for nan."""
    return "–" if value != value else f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"
