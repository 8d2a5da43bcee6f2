"""What tells a built network from another that goes by the same name.

A store knows a user's networks by name. Behind a name stands a function, which may be edited between two runs; old
scores must not then pass as the new network's. The fingerprint is a digest of all that decides the scores besides the
weights, which are drawn anew by name and seed:

- modules: their tree (shared ones too), types, and plain attributes such as a stride, a dropout rate, a scale;
- parameters: names, shapes, dtypes, which are shared, which are trained; buffers: their values too;
- the code of module classes that are not torch's own, of hooks, and of what they call in the same package.

Comments, docstrings, line numbers, names of files and addresses of objects do not count. Objects of other classes that
a module holds count by their type alone.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_BASE = frozenset(vars(nn.Module())) | {"training"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def fingerprint(net: nn.Module) -> str:
    """Return "<class>, <p> parameters, <16 hexadecimal digits>": equal texts mean networks that score alike.

    The digits begin the sha256 of what this file's docstring lists. Equal in every process, a script or its workers,
    with one version of Python; float weights, gradients and the training flag do not enter.
    """
    digest = hashlib.sha256()
    for line in _lines(net):
        digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    count = sum(parameter.numel() for parameter in net.parameters() if not _empty(parameter))
    return f"{type(net).__name__}, {count} parameters, {digest.hexdigest()[:16]}"


def _lines(net: nn.Module) -> Iterator[str]:
    names = {id(module): name for name, module in net.named_modules()}
    first: dict[int, str] = {}
    seen: set[int] = set()
    for name, module in net.named_modules():
        kind = type(module)
        yield f"module {name}: {kind.__qualname__}"
        for local, child in module._modules.items():
            yield f"child {local}: {None if child is None else names[id(child)]}"
        for local, tensor in (*module._parameters.items(), *module._buffers.items()):
            shared = None if tensor is None else first.setdefault(id(tensor), f"{name}.{local}")
            yield f"tensor {local}: {shared} {_tensor(tensor)}"
        for key in sorted(vars(module).keys() - _BASE):
            yield f"attribute {key}: {_text(vars(module)[key], seen)}"
        for hooks in _HOOKS:
            for hook in getattr(module, hooks, {}).values():
                yield f"hook {hooks}: {_text(hook, seen)}"
        for base in kind.__mro__:
            if base is not object and not _of_torch(base) and id(base) not in seen:
                seen.add(id(base))
                for key, value in sorted(vars(base).items()):
                    if isinstance(value, FunctionType) or not key.startswith("__"):
                        yield f"class {base.__qualname__}.{key}: {_text(value, seen)}"


def _empty(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.UninitializedParameter | nn.UninitializedBuffer)


def _tensor(tensor: Tensor | None) -> str:
    if tensor is None or _empty(tensor):
        return type(tensor).__name__
    text = f"{tuple(tensor.shape)} {tensor.dtype} {tensor.requires_grad}"
    drawn = isinstance(tensor, nn.Parameter) and (tensor.is_floating_point() or tensor.is_complex())
    if drawn or tensor.requires_grad or tensor.is_meta or tensor.is_quantized or tensor.layout is not torch.strided:
        return text
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    content = flat.resolve_conj().resolve_neg().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return f"{text} {hashlib.sha256(content).hexdigest()}"


def _of_torch(thing: Any) -> bool:
    return _package(thing) == "torch"


def _text(value: Any, seen: set[int], depth: int = 0) -> str:
    """A value in words that are the same in every process."""
    if depth > 20:
        return "..."
    tell = functools.partial(_text, seen=seen, depth=depth + 1)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | torch.device):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind != "O":
        return f"{value.dtype.str} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(map(tell, value))})"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({', '.join(sorted(map(tell, value)))})"
    if isinstance(value, dict):
        return f"{type(value).__name__}({', '.join(f'{tell(k)}: {tell(v)}' for k, v in value.items())})"
    if isinstance(value, CodeType):
        parts = (value.co_argcount, value.co_names, value.co_freevars, value.co_consts, value.co_exceptiontable)
        return f"code {value.co_code.hex()} {tell(parts)}"
    if isinstance(value, functools.partial):
        return f"partial {tell((value.func, value.args, value.keywords))}"
    if isinstance(value, staticmethod | classmethod):
        return f"{type(value).__name__} {tell(value.__func__)}"
    if isinstance(value, property):
        return f"property {tell((value.fget, value.fset))}"
    function = getattr(value, "__func__", value)
    if isinstance(function, FunctionType):
        return _function(function, seen, depth)
    return (value if isinstance(value, type | BuiltinFunctionType) else type(value)).__qualname__


def _function(function: FunctionType, seen: set[int], depth: int) -> str:
    if id(function) in seen or _of_torch(function):
        return function.__qualname__
    seen.add(id(function))
    code = function.__code__
    if function.__doc__ is not None and code.co_consts[:1] == (function.__doc__,):
        code = code.replace(co_consts=(None, *code.co_consts[1:]))
    closed = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    used = [function.__globals__.get(name) for name in _names(code)]
    near = [
        value
        for value in used
        if isinstance(value, int | float | str | tuple)
        or (isinstance(value, FunctionType) and _package(value) == _package(function))
    ]
    parts = (code, function.__defaults__, function.__kwdefaults__, closed, near)
    return f"{function.__qualname__} {_text(parts, seen, depth + 1)}"


def _names(code: CodeType) -> list[str]:
    inner = [name for const in code.co_consts if isinstance(const, CodeType) for name in _names(const)]
    return [*code.co_names, *inner]


def _package(thing: Any) -> str:
    return str(thing.__module__).partition(".")[0]


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
