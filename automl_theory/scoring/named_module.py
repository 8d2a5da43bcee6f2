"""Score one network named on the command line as package.module:factory."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from automl_theory.data import load_batch
from automl_theory.errors import AutoMLTheoryError, InputError, suggest
from automl_theory.proxies import Proxy, get_proxies
from automl_theory.scoring.machine import check_device
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.plan import choose_seeds
from automl_theory.scoring.single import Scores, score
from automl_theory.scoring.table import DESCRIBED, SEVERITY


def load_factory(name: str) -> nn.Module:
    """The module that `package.module:factory` makes; the working folder is searched too.

    `factory` is a function without arguments that returns an nn.Module, or an nn.Module itself. Raises InputError for
    a name of another form, a module that cannot be imported, a missing attribute, or something that gives no module.
    """
    path, colon, attribute = name.partition(":")
    if not colon or not path or not attribute:
        raise InputError(f"--module {name!r} must look like package.module:factory, as in mypackage.models:make_net")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(path)
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot import {path!r}: {_one_line(error)}; run from the folder that holds it") from None
    if not hasattr(found, attribute):
        near = suggest(attribute, dir(found)) or " Name a function that returns an nn.Module."
        raise InputError(f"module {path!r} has no {attribute!r}.{near}")
    factory = getattr(found, attribute)
    if not isinstance(factory, nn.Module) and not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}; name a function that returns an nn.Module")
    try:
        net = factory if isinstance(factory, nn.Module) else factory()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{name} failed when called without arguments: {_one_line(error)}; wrap it in a function that gives them"
        ) from None
    if not isinstance(net, nn.Module):
        raise InputError(f"{name} returned {type(net).__name__}; name a function that returns an nn.Module")
    return net


def score_named_module(
    name: str, *, proxies: str, data: str, seeds: int | None, **settings: Any
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Score the module of `name` on a batch; seeds None keeps its weights, and what its factory draws is of seed 0.

    Returns the score table of one row, as `score_space` makes it, with how it was measured in `attrs["settings"]`, and
    {proxy: why it has no value}. Raises InputError for a module that cannot be had, a batch that cannot be drawn, or
    one that the module fails on.
    """
    measured = Measurement(**settings)
    chosen, weights = get_proxies(proxies), [None] if seeds is None else choose_seeds(seeds)
    check_device(measured.device)
    dtype = getattr(torch, measured.dtype)
    batch = load_batch(data, measured.n, measured.data_seed, size=measured.resolution, channels=measured.in_channels)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = _moved(name, load_factory(name), measured.device, dtype)
    x, y = batch.x.to(measured.device, dtype), batch.y.to(measured.device)
    runs = [_score(name, net, x, y, [proxy.name for proxy in chosen], seed, measured) for seed in weights]
    row = _row(name, runs, chosen, weights)
    row.attrs["settings"] = {**runs[0].info, "data": batch.name, "source": batch.source, "digest": batch.digest}
    reasons: dict[str, str] = {}
    for run in runs:
        reasons = {**run.reasons, **reasons}
    return row, reasons


def _moved(name: str, net: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    try:
        return net.to(device=device, dtype=dtype)
    except Exception as error:
        raise InputError(
            f"{name} cannot be made {dtype} on {device}: {_one_line(error)}; return a network with weights that can"
        ) from None


def _score(
    name: str, net: nn.Module, x: torch.Tensor, y: torch.Tensor, proxies: list[str], seed: int | None, m: Measurement
) -> Scores:
    try:
        named: dict[str, Any] = {"bn": m.bn, "output": m.output}
        return score(net, x, y, proxies, seed=seed, init=m.init, biases=m.biases, **named)
    except AutoMLTheoryError as error:
        reason = " ".join(str(error).split())
    except (Exception, SystemExit) as error:
        reason = _one_line(error)
    raise InputError(
        f"{name} cannot be scored on images of shape {tuple(x.shape[1:])}: {reason} "
        "(--in-channels and --resolution change the shape)"
    )


def _row(name: str, runs: list[Scores], proxies: list[Proxy], seeds: Sequence[int | None]) -> pd.DataFrame:
    """The score table of one row, as `score_space` makes it."""
    columns: dict[str, list[Any]] = {"canonical": [name]}
    for proxy in proxies:
        values = np.array([run[proxy.name] for run in runs])
        with np.errstate(invalid="ignore"):
            std = values.std(ddof=1) if len(runs) > 1 else np.nan
        columns[proxy.name] = [values.mean()]
        columns[f"{proxy.name}_std"] = [std]
        columns[f"{proxy.name}_status"] = [max((run.status[proxy.name] for run in runs), key=SEVERITY.index)]
    row = pd.DataFrame(columns, index=pd.Index([name], name="arch", dtype="str"))
    described = {proxy.name: {field: getattr(proxy, field) for field in DESCRIBED} for proxy in proxies}
    row.attrs = {"seeds": list(seeds), "proxies": described}
    return row


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
