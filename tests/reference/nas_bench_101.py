"""NAS-Bench-101 the slow way: the published definitions, written out without a thought of speed."""

from __future__ import annotations

import hashlib
from itertools import product

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def module_hash(matrix: np.ndarray, ops: list[str]) -> str:
    """Iterated MD5 over sorted neighbourhoods, as many rounds as vertices."""

    def digest(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    matrix = np.array(matrix)
    vertices = range(len(matrix))
    labels = {v: OPERATIONS.index(ops[v]) for v in vertices[1:-1]} | {0: -1, vertices[-1]: -2}
    current = {v: digest(str((int(matrix[v].sum()), int(matrix[:, v].sum()), labels[v]))) for v in vertices}
    for _ in vertices:
        following = {}
        for v in vertices:
            before = sorted(current[w] for w in vertices if matrix[w, v])
            after = sorted(current[w] for w in vertices if matrix[v, w])
            following[v] = digest("".join(before) + "|" + "".join(after) + "|" + current[v])
        current = following
    return digest(str(sorted(current.values())))


def labelled(matrix: np.ndarray, ops: list[str]) -> nx.DiGraph:
    graph = nx.DiGraph(np.array(matrix))
    nx.set_node_attributes(graph, dict(enumerate(ops)), "op")
    return graph


def isomorphic(first: tuple[np.ndarray, list[str]], second: tuple[np.ndarray, list[str]]) -> bool:
    same = nx.algorithms.isomorphism.categorical_node_match("op", None)
    return nx.is_isomorphic(labelled(*first), labelled(*second), node_match=same)


def first_of_each_hash(vertices: int, max_edges: int = 9) -> dict[str, tuple[int, tuple[int, ...]]]:
    """What the official generator keeps: adjacencies by rising bits, labelings in order, the first of every hash."""
    found: dict[str, tuple[int, tuple[int, ...]]] = {}
    for bits in range(2 ** (vertices * (vertices - 1) // 2)):
        matrix = np.zeros((vertices, vertices), dtype=int)
        for y in range(vertices):
            for x in range(y):
                matrix[x, y] = bits >> (x + y * (y - 1) // 2) & 1
        if matrix.sum() > max_edges or not (matrix[:-1].any(axis=1).all() and matrix[:, 1:].any(axis=0).all()):
            continue
        for labels in product(range(3), repeat=vertices - 2):
            ops = ["input", *(OPERATIONS[label] for label in labels), "output"]
            found.setdefault(module_hash(matrix, ops), (bits, labels))
    return found


def channels(matrix: np.ndarray, c_out: int) -> dict[int, int]:
    """Channels of the interior vertices: the output's shared out, the others by what they feed."""
    matrix = np.array(matrix)
    last = len(matrix) - 1
    feeding = [v for v in range(1, last) if matrix[v, last]]

    def of(v: int) -> int:
        if v in feeding:
            return c_out // len(feeding) + (feeding.index(v) < c_out % len(feeding))
        return max(of(w) for w in range(1, last) if matrix[v, w])

    return {v: of(v) for v in range(1, last)}


def parameters(matrix: np.ndarray, ops: list[str], base: int = 128, stacks: int = 3, modules: int = 3) -> int:
    matrix = np.array(matrix)
    last = len(matrix) - 1

    def layer(c_in: int, c_out: int, kernel: int) -> int:
        return kernel * kernel * c_in * c_out + 2 * c_out

    total, c_in = layer(3, base, 3), base
    for stack in range(stacks):
        for _ in range(modules):
            c_out = base * 2**stack
            split = channels(matrix, c_out)
            total += sum(layer(c_in, split[v], 1) for v in split if matrix[0, v])
            total += sum(layer(c, c, int(ops[v][4])) for v, c in split.items() if ops[v].startswith("conv"))
            total += layer(c_in, c_out, 1) if matrix[0, last] else 0
            c_in = c_out
    return total + c_in * 10 + 10


def forward(
    state: dict[str, torch.Tensor],
    matrix: np.ndarray,
    ops: list[str],
    x: torch.Tensor,
    base: int,
    stacks: int,
    modules: int,
) -> torch.Tensor:
    """Logits in train mode, vertex by vertex from a dictionary of weights."""
    matrix = np.array(matrix)
    last = len(matrix) - 1

    def conv_bn_relu(name: str, value: torch.Tensor) -> torch.Tensor:
        weight = state[f"{name}.0.weight"]
        value = F.conv2d(value, weight, padding=weight.shape[-1] // 2)
        mean, variance = value.mean(dim=(0, 2, 3)), value.var(dim=(0, 2, 3), unbiased=False)
        value = (value - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        value = value * state[f"{name}.1.weight"][:, None, None] + state[f"{name}.1.bias"][:, None, None]
        return value.clamp_min(0)

    def max_pool(value: torch.Tensor) -> torch.Tensor:
        padded = F.pad(value, (1, 1, 1, 1), value=-torch.inf)
        h, w = value.shape[2:]
        return torch.stack([padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)]).amax(dim=0)

    value = conv_bn_relu("stem", x)
    for stack in range(stacks):
        if stack:
            h, w = value.shape[2:]
            value = F.pad(value, (0, w % 2, 0, h % 2), value=-torch.inf)
            value = torch.stack([value[:, :, i::2, j::2] for i in range(2) for j in range(2)]).amax(dim=0)
        for k in range(modules):
            name = f"cells.{stack * modules + k}"
            c_out = base * 2**stack
            split = channels(matrix, c_out)
            values = {0: value}
            for v in range(1, last):
                arriving = torch.zeros(())
                for w in range(v):
                    if matrix[w, v] and w:
                        arriving = arriving + values[w][:, : split[v]]
                    elif matrix[w, v]:
                        arriving = arriving + conv_bn_relu(f"{name}.vertex{v}.projection", value)
                pooled = ops[v] == "maxpool3x3"
                values[v] = max_pool(arriving) if pooled else conv_bn_relu(f"{name}.vertex{v}.op", arriving)
            parts = [values[v] for v in range(1, last) if matrix[v, last]]
            out = torch.cat(parts, dim=1) if parts else torch.zeros(())
            value = out + conv_bn_relu(f"{name}.projection", value) if matrix[0, last] else out
            assert value.shape[1] == c_out
    return value.mean(dim=(2, 3)) @ state["classifier.weight"].T + state["classifier.bias"]
