"""Sizes of a NAS-Bench-101 network in closed form."""

from __future__ import annotations

from automl_theory.counts import check_counts
from automl_theory.networks.nas_bench_101_channels import vertex_channels
from automl_theory.spaces.nas_bench_101_module import KERNELS, Module

LARGEST = {"channels": 2**14, "stacks": 8, "modules_per_stack": 2**10}


def sizes(
    module: Module,
    channels: int = 128,
    stacks: int = 3,
    modules_per_stack: int = 3,
    num_classes: int = 10,
    in_channels: int = 3,
    resolution: int = 32,
) -> dict[str, float]:
    """Return the sizes that `NasBench101.size_metrics` describes."""
    check_counts(
        LARGEST,
        channels=channels,
        stacks=stacks,
        modules_per_stack=modules_per_stack,
        num_classes=num_classes,
        in_channels=in_channels,
        resolution=resolution,
    )
    side, width = resolution, channels
    weights = 9 * in_channels * channels
    parameters, macs, relus = weights + 2 * channels, weights * side * side, channels * side * side
    for stack in range(stacks):
        if stack:
            side = (side + 1) // 2
        area = side * side
        for c_in, repeats in ((width, 1), (channels << stack, modules_per_stack - 1)):
            weights, through, _ = _module(module, c_in, channels << stack)
            parameters += repeats * (weights + 2 * through)
            macs += repeats * weights * area
            relus += repeats * through * area
        width = channels << stack
    modules = stacks * modules_per_stack
    return {
        "parameters": parameters + width * num_classes + num_classes,
        "macs": macs + width * num_classes,
        "depth": modules * _deepest(module) + 2,
        "trainable_layers": modules * _module(module, channels, channels)[2] + 2,
        "relu_units": relus,
    }


def _module(module: Module, c_in: int, c_out: int) -> tuple[int, int, int]:
    """Weights of the convolutions of a module, channels that leave them, and their number."""
    matrix, ops = module
    split = vertex_channels(matrix, c_in, c_out)
    weights = through = layers = 0
    for y in range(1, len(ops)):
        if matrix[0][y]:
            weights += c_in * split[y]
            through += split[y]
            layers += 1
        if kernel := KERNELS.get(ops[y], 0):
            weights += kernel * split[y] * split[y]
            through += split[y]
            layers += 1
    return weights, through, layers


def _deepest(module: Module) -> int:
    """Convolutions on the deepest path through a module, projections included."""
    matrix, ops = module
    deepest = [0] * len(ops)
    for y in range(1, len(ops)):
        arriving = max(deepest[x] + (x == 0) for x in range(y) if matrix[x][y])
        deepest[y] = arriving + (KERNELS.get(ops[y], 0) > 0)
    return deepest[-1]
