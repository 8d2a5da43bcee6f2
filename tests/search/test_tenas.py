"""TE-NAS's pruning beside an obvious version; a supernet with one candidate an edge is the architecture."""

from __future__ import annotations

import math
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch

from automl_theory import empirical_ntk, linalg
from automl_theory.data import load_batch
from automl_theory.errors import InputError
from automl_theory.networks.cell import OPERATIONS, CellNetwork, ThinNetwork
from automl_theory.networks.supernet import SuperNetwork, ThinSuperNetwork
from automl_theory.search import tenas
from automl_theory.search.request import prepare
from automl_theory.search.run import run, search
from automl_theory.spaces import space

SINGLE = ["nor_conv_3x3", "skip_connect", "none", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3"]


def carry(source: torch.nn.Module, target: torch.nn.Module) -> None:
    """Weights of a supernet with one candidate an edge to the architecture: only names differ."""
    names = {f".{name}" for name in OPERATIONS}
    state = {}
    for key, value in source.state_dict().items():
        for name in names:
            key = key.replace(name, "")
        state[key] = value
    target.load_state_dict(state)


@pytest.mark.parametrize("cells", [1, 2])
def test_one_candidate_an_edge_is_the_architecture(cells: int) -> None:
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = SuperNetwork([[name] for name in SINGLE], 4, cells, seed=3)
    plain = CellNetwork(SINGLE, 4, cells)
    carry(net, plain)
    assert torch.equal(net(x), plain(x))
    kernels = [empirical_ntk(module, x) for module in (net, plain)]
    assert torch.allclose(*kernels, rtol=1e-5)
    thin, plain_thin = ThinSuperNetwork([[name] for name in SINGLE], seed=3), ThinNetwork(SINGLE, 1)
    carry(thin, plain_thin)
    assert torch.equal(thin(x[:, :1]), plain_thin(x[:, :1]))


def test_a_supernet_is_the_mean_of_its_candidates() -> None:
    """Only the last node's edge from the input is mixed, so the cell is linear in the choice."""
    x = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    rest = [["none"]] * 6

    def cell(names: list[str]) -> torch.Tensor:
        candidates = [*rest[:3], names, *rest[4:]]
        net = ThinSuperNetwork(candidates, seed=5)
        out: torch.Tensor = net.cells[0](x)
        return out

    names = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    mean = sum((cell([name]) for name in names[1:]), start=cell(names[:1])) / 4
    assert torch.allclose(cell(names), mean, atol=1e-6)
    assert torch.equal(cell(["none"]), torch.zeros_like(x))
    assert torch.allclose(cell(["none", "skip_connect"]), x / 2)


def test_removal_leaves_the_other_weights() -> None:
    whole = dict(SuperNetwork(tenas.start(space("nas_bench_201")), seed=7).named_parameters())
    less = tenas.without(tenas.start(space("nas_bench_201")), [(2, "nor_conv_3x3")])
    rest = dict(SuperNetwork(less, seed=7).named_parameters())
    assert set(whole) - set(rest) == {name for name in whole if ".layers.2.nor_conv_3x3." in name}
    assert all(torch.equal(whole[name], value) for name, value in rest.items())


@pytest.mark.parametrize("bad", [[["none"]] * 5, [["none"]] * 5 + [[]], [["none", "none"]] + [["none"]] * 5])
def test_bad_candidates(bad: list[list[str]]) -> None:
    with pytest.raises(InputError, match=r"expected candidates of 6 edges|different operations, at least one"):
        SuperNetwork(bad)


def test_supernets_measure_what_they_say() -> None:
    candidates = tenas.without(tenas.start(space("nas_bench_201")), [(0, "skip_connect")])
    condition, regions, error = tenas.Supernets(n=20, samples=50, batches=2, generalization=True)(candidates, 4)
    batch = load_batch("digits", 20, 4)
    kernel = empirical_ntk(SuperNetwork(candidates, seed=4), batch.x).numpy()
    values = np.linalg.eigvalsh(kernel)
    assert condition == pytest.approx(values[-1] / values[0], rel=1e-4)
    assert 1 <= regions <= 100
    assert regions == int(regions)
    assert error > 0
    assert math.isfinite(error)


def slow_choice(measured: dict[tenas.Removal, tenas.Measures], better: list[int]) -> list[tenas.Removal]:
    """Dense rank: how many different values are better for removal."""
    total = {}
    for removal, values in measured.items():
        total[removal] = 0
        for column, way in enumerate(better):
            others = {way * other[column] for other in measured.values()}
            total[removal] += sum(other < way * values[column] for other in others)
    chosen = []
    for edge in sorted({edge for edge, _ in measured}):
        mine = [removal for removal in measured if removal[0] == edge]
        chosen.append(min(mine, key=lambda r: (total[r], better[0] * measured[r][0])))
    return chosen


@pytest.mark.parametrize("columns", [2, 3])
def test_choice_is_the_obvious_one(columns: int) -> None:
    rng = np.random.default_rng(columns)
    better = list(tenas.BETTER.values())[:columns]
    for _ in range(50):
        pairs = list(product(range(4), OPERATIONS[1:]))
        measured = {pair: tuple(float(v) for v in rng.integers(-3, 4, columns)) for pair in pairs}
        assert tenas.choose(measured, better) == slow_choice(measured, better)


def test_choice_by_hand() -> None:
    measured = {(0, "a"): (0.5, 0.0), (0, "b"): (-0.5, 0.0), (1, "a"): (0.1, -0.2), (1, "b"): (0.2, 0.3)}
    # κ falls most without (0, a); regions grow without (1, a) and shrink without (1, b).
    assert tenas.choose(measured, [-1, 1]) == [(0, "a"), (1, "a")]


def test_undefined_changes_rank_last_whatever_the_order() -> None:
    measured = {
        (0, "a"): (0.5, math.nan), (0, "b"): (0.1, 0.0), (0, "c"): (math.nan, 0.3), (0, "d"): (0.2, -math.inf),
    }  # fmt: skip
    found = {tuple(tenas.choose(dict(order), [-1, 1])) for order in permutations(measured.items())}
    assert found == {((0, "d"),)}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [(4.0, 3.0, 0.25), (4.0, 5.0, -0.25), (math.inf, math.inf, 0.0), (math.inf, 2.0, 1.0), (2.0, math.inf, -math.inf)],
)
def test_relative_changes(before: float, after: float, change: float) -> None:
    assert tenas.relative(before, after) == change


@pytest.mark.parametrize("algorithm", ["tenas", "tegnas"])
def test_a_whole_search_is_deterministic_and_single_path(algorithm: str, tmp_path: object) -> None:
    setting = {"n": 12, "samples": 30, "batches": 1, "repeats": 1}
    found = search("nas_bench_201", algorithm, folder=tmp_path, **setting)
    again = search("nas_bench_201", algorithm, **setting)
    assert found.found == again.found
    assert found.found in space("nas_bench_201")
    assert "none" not in found.found
    assert found.evaluations == 25 + 19 + 13
    assert [len(step["removed"]) for step in found.trace] == [6, 6, 6]
    assert found.seconds > 0
    resumed = search("nas_bench_201", algorithm, folder=tmp_path, **setting)
    assert resumed == found


def test_progress_counts_removals_and_a_resumed_search_goes_on_after_the_last_round(tmp_path: Path) -> None:
    asked = prepare("nas_bench_201", "tenas", n=8, samples=10, batches=1, repeats=1)
    told: list[tuple[int, int]] = []
    run(asked, 0, tmp_path, lambda *state: told.append(state))
    assert told == [(done, 24 + 18 + 12) for done in range(24 + 18 + 12 + 1)]
    file = tmp_path / "seed-0000.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2]))
    told.clear()
    run(asked, 0, tmp_path, lambda *state: told.append(state))
    assert told == [(done, 54) for done in range(24, 55)]


@pytest.mark.parametrize(
    ("sizes", "count"), [([4] * 6, 54), ([1, 1], 0), ([2, 1], 2), ([3, 2], 3 + 2 + 2), ([3, 1, 2], 3 + 2 + 2)]
)
def test_all_removals_are_those_of_all_rounds(sizes: list[int], count: int) -> None:
    assert tenas.all_removals(tuple(tuple(OPERATIONS)[:size] for size in sizes)) == count


def test_rank_deficient_kernels_are_infinite() -> None:
    assert linalg.spectrum(np.zeros((3, 3))).condition_number == math.inf


def test_other_spaces_have_no_supernet() -> None:
    with pytest.raises(InputError, match="has no supernet; only nas_bench_201"):
        search("mlp_dag", "tenas")
