"""Networks that users really have, or have by mistake: each gets its values or its status, and never stops a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import automl_theory as at
from automl_theory.networks.initialise import initialise
from automl_theory.scoring.failures import failures_of

NAMES = ["ntk_trace", "ntk_lambda_min", "nngp_lambda_min", "ntk_regression_error", "parameters", "naswot"]
SMALL: dict[str, Any] = {"n": 8, "resolution": 4, "progress": False}


def bare(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), *layers)


class Head(nn.Module):
    """A linear head; what it returns is changed below."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(48, 10)

    def logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(x.flatten(1))
        return out

    def forward(self, x: Tensor) -> Any:
        return self.logits(x)


class Pair(Head):
    def forward(self, x: Tensor) -> Any:
        return self.logits(x), x


class NotFinite(Head):
    def forward(self, x: Tensor) -> Any:
        return self.logits(x) / 0


class Constant(Head):
    def forward(self, x: Tensor) -> Any:
        return self.logits(torch.ones_like(x))


class Leaving(Head):
    def forward(self, x: Tensor) -> Any:
        raise SystemExit(3)


class Endless(Head):
    def forward(self, x: Tensor) -> Any:
        return self.forward(x)


class Huge(Head):
    def forward(self, x: Tensor) -> Any:
        return self.logits(x) + torch.empty(10**14).sum()


class Nameless(Head):
    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Counting(Head):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self.logits(x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.fc = nn.LSTM(16, 8, batch_first=True), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.cell(x.flatten(2))[0][:, -1])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Linear(48, 48), nn.Linear(48, 48), nn.Linear(48, 10)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Any:
        return self.fc(torch.relu(self.b(torch.relu(self.a(x.flatten(1))))))


def group_norm() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), bare(nn.Linear(128, 10)))


def dropout() -> nn.Module:
    return bare(nn.Linear(48, 64), nn.Dropout(0.5), nn.ReLU(), nn.Linear(64, 10))


def spectral_norm() -> nn.Module:
    return bare(nn.utils.parametrizations.spectral_norm(nn.Linear(48, 10)))


def twice_as_precise() -> nn.Module:
    return bare(nn.Linear(48, 10)).double()


GOOD = {
    f.__name__: f for f in (Head, Nameless, Counting, Recurrent, Tied, group_norm, dropout, spectral_norm)
} | {"double": twice_as_precise}  # fmt: skip
BAD: dict[str, tuple[Any, str, str]] = {
    "no parameters": (nn.Flatten, "no_parameters", ""),
    "nothing trained": (lambda: Head().requires_grad_(False), "no_parameters", ""),
    "not finite": (NotFinite, "non_finite", ""),
    "constant": (Constant, "disconnected", ""),
    "a pair": (Pair, "failed", "one row a sample, got tuple; wrap it to return its logits"),
    "lazy": (lambda: bare(nn.LazyLinear(10)), "failed", "is lazy and has no shape yet; give its layer the size"),
    "leaves": (Leaving, "failed", "SystemExit: 3"),
    "endless": (Endless, "failed", "maximum recursion depth exceeded"),
    "huge": (Huge, "failed", "can't allocate memory"),
    "another input": (lambda: bare(nn.Linear(47, 10)), "failed", "shapes cannot be multiplied"),
    "meta": (lambda: nn.Linear(48, 10, device="meta"), "failed", "is on the meta device; call to_empty"),
    "a class": (lambda: nn.Linear, "failed", "must return an nn.Module, it returned type"),
    "nothing": (lambda: None, "failed", "must return an nn.Module, it returned NoneType"),
}


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # statuses and reasons are looked at
def test_networks_with_values(tmp_path: Path) -> None:
    """The same as `at.score` gives of the network alone; bit for bit in a worker and in another order."""
    table = at.score_space(GOOD, NAMES, seeds=2, store=tmp_path / "s.db", **SMALL)
    assert (table["ntk_trace_status"] == "ok").all()
    assert all(why.startswith("naswot: the module calls no ReLU") for _, _, why in failures_of(tmp_path / "s.db"))
    batch = at.load_batch("digits", 8, size=4)
    for name in ("group_norm", "Tied", "dropout"):
        alone = [at.score(initialise(GOOD[name](), seed=seed), batch.x, batch.y, NAMES) for seed in (0, 1)]
        for proxy in NAMES:
            assert table.loc[name, proxy] == pytest.approx(sum(s[proxy] for s in alone) / 2, rel=1e-6), (name, proxy)
    other = at.score_space(dict(reversed(GOOD.items())), NAMES, seeds=2, workers=1, **SMALL)
    pd.testing.assert_frame_equal(other.loc[table.index], table, check_exact=True)


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # statuses and reasons are looked at
def test_networks_without(tmp_path: Path) -> None:
    table = at.score_space({name: make for name, (make, _, _) in BAD.items()}, NAMES, store=tmp_path / "s.db", **SMALL)
    assert table["ntk_trace_status"].to_dict() == {name: status for name, (_, status, _) in BAD.items()}
    assert table[["ntk_trace", "ntk_lambda_min", "naswot"]].isna().all(axis=None)
    reasons = {arch: why for arch, _, why in failures_of(tmp_path / "s.db")}
    for name, (_, status, words) in BAD.items():
        if status == "failed":
            assert words in reasons[name], name
            assert "\n" not in reasons[name]
