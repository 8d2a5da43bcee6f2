"""The conformance suite: it lets good plug-ins pass, and says of broken ones what is broken and how to mend it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.networks.fingerprint import fingerprint
from automl_theory.networks.initialise import initialise
from automl_theory.proxies import REGISTRY, Proxy, get_proxy
from automl_theory.proxies.base import Undefined
from automl_theory.spaces.base import sample_from
from automl_theory.testing import BrokenPromise, check_proxy, check_space

# A good space, and how it can be broken -------------------------------------------------------------------------------


class Layer(nn.Module):
    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        self.first = nn.Linear(48, width, device="meta").to_empty(device="cpu")
        self.last = nn.Linear(width, 2, device="meta").to_empty(device="cpu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.flatten(1))
        if self.kind == "none":
            x = torch.zeros_like(x)
        return self.last(x.relu() if self.kind != "linear" else x)


class Toy:
    """Three kinds of layers of five widths; `rectifier` is another name for `relu`."""

    name = "toy"
    kinds = ("linear", "none", "rectifier", "relu")
    widths = (3, 4, 5, 6, 7)
    size = 20

    def __len__(self) -> int:
        return self.size

    def __iter__(self):
        return (f"{kind}-{width}" for kind in self.kinds for width in self.widths)

    def __contains__(self, arch: object) -> bool:
        return isinstance(arch, str) and arch in list(iter(self))

    def sample(self, n, seed, *, canonical=True):
        return sample_from(self.representatives() if canonical else list(self), n, seed)

    def parse(self, arch):
        if arch not in Toy():
            raise InputError(f"expected a layer such as 'relu-3', got {arch!r}; use one of the space")
        kind, _, width = arch.partition("-")
        return kind, int(width)

    def canonical(self, arch):
        kind, width = self.parse(arch)
        return f"{'relu' if kind == 'rectifier' else kind}-{width}"

    def representatives(self):
        return list(dict.fromkeys(map(self.canonical, self)))

    def graph(self, arch):
        kind, _ = self.parse(arch)
        return CellGraph(3, [(1, 2, 1)] if kind == "none" else [(0, 1, 1), (1, 2, 1)])

    def build(self, arch, *, seed=0, init="pytorch"):
        return initialise(Layer(*self.parse(arch)), init, seed)

    def size_metrics(self, arch):
        kind, width = self.parse(arch)
        connected = kind != "none"
        return {
            "parameters": 48 * width + width + 2 * width + 2,
            "macs": 50 * width,
            "depth": 2 if connected else 0,
            "trainable_layers": 2,
            "relu_units": width if kind != "linear" else 0,
        }

    def fingerprint(self, net):
        return fingerprint(net)


X = torch.randn(4, 48, generator=torch.Generator().manual_seed(0))


def check(toy: Any, **settings: Any) -> list[str]:
    return check_space(toy, 12, x=X, **settings)


def test_a_good_space_passes():
    kept = check(Toy(), carry=lambda arch, state: state)
    assert kept == check(Toy())
    assert len(kept) == 12
    assert "a class computes one function" in kept
    assert check_space(Toy(), 12, 3, x=X) == kept


def shuffled(self):
    return iter(np.random.default_rng().permutation(list(Toy())).tolist())


def unseeded(self, n, seed, *, canonical=True):
    Toy().sample(n, seed, canonical=canonical)
    return sample_from(Toy().representatives() if canonical else list(Toy()), n, int(torch.randint(10**9, ())))


def another_order(self, n, seed, *, canonical=True):
    return Toy().sample(n, seed, canonical=canonical)[::-1]


def strings_instead(self, n, seed, *, canonical=True):
    return sample_from(list(Toy())[: 20 if not canonical else 15], n, seed)


def build_with(change):
    def build(self, arch, *, seed=0, init="pytorch"):
        return change(self, arch, seed, init)

    return build


def from_torch(self, arch, seed, init):
    self.parse(arch)
    return initialise(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), init, seed)


def not_initialised(self, arch, seed, init):
    Toy().build(arch, seed=seed, init=init)
    net = Layer(*self.parse(arch))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for p in net.parameters():
            p.copy_(torch.randn(p.shape))
    return net


def by_order(self, arch, seed, init):
    net = Toy().build(arch, seed=seed, init=init)
    return initialise(net, init, seed, rename=lambda name: name + arch)


def fixed_seed(self, arch, seed, init):
    return Toy().build(arch, seed=min(seed, 0), init=init)


def any_init(self, arch, seed, init):
    return Toy().build(arch, seed=seed)


def silent(self, arch):
    if arch not in Toy():
        raise InputError("bad")
    return Toy().parse(arch)


def any_string(self, arch):
    return arch.partition("-")[::2]


def raises_key_error(self, arch):
    return Toy().parse({name: name for name in Toy()}[arch])


def refuses_everything(self):
    raise InputError("too many classes to list; take a sample of them")


BROKEN_SPACES = {
    "no_name": ({"name": ""}, "name must be a text.*set name ="),
    "no_method": ({"canonical": None}, "method canonical is missing; see .*spaces.base.Space"),
    "size": ({"size": 21}, "iteration yields 20 architectures and size is 21"),
    "no_size": ({"size": 0}, "size must be an integer of at least 1, got 0"),
    "len": ({"__len__": lambda self: 3}, "len is 3 and size 20; return size from __len__"),
    "twice": ({"__iter__": lambda self: iter([*Toy(), "relu-3"])}, "yields an architecture twice"),
    "order": ({"__iter__": shuffled}, "a second iteration has another order"),
    "outside": ({"__contains__": lambda self, arch: arch in list(Toy())[1:]}, "'linear-3' is yielded and not in"),
    "unseeded": ({"sample": unseeded}, "with one seed gives two answers; draw from numpy.random.default_rng"),
    "prefix": ({"sample": another_order}, "a larger n must extend the list of a smaller one"),
    "no_representatives": ({"sample": strings_instead}, r"gives 'rectifier-\d', no representative"),
    "contains_raises": ({"__contains__": lambda self, arch: Toy().parse(arch) is not None}, "raises InputError.*False"),
    "contains_none": ({"__contains__": lambda self, arch: True}, "None is in the space; only strings are"),
    "silent": ({"parse": silent}, r"the InputError of parse\(''\) says only 'bad'; write in one line"),
    "no_error": ({"parse": any_string}, r"parse\(''\) must raise InputError, it returned"),
    "key_error": ({"parse": raises_key_error}, r"must raise InputError, it raised KeyError"),
    "not_idempotent": (
        {
            "canonical": lambda self, arch: {"relu-4": "relu-5", "relu-5": "relu-6"}.get(arch, Toy().canonical(arch)),
            "representatives": lambda self: [a for a in list(Toy()) if Toy().canonical(a) == a and a[-1] not in "45"],
        },
        r"canonical\('relu-4'\) is 'relu-5', which is not its own representative: canonical\('relu-5'\) is 'relu-6'",
    ),
    "cycle": (
        {"canonical": lambda self, arch: {"relu-4": "relu-5", "relu-5": "relu-4"}.get(arch, Toy().canonical(arch))},
        r"canonical\('relu-(4|5)'\) is 'relu-(5|4)', which is not its own representative",
    ),
    "raises": (
        {"representatives": lambda self: 1 / 0},
        "while it was checked that samples are distinct, .* raised: ZeroDivisionError: division by zero",
    ),
    "foreign": ({"canonical": lambda self, arch: Toy().canonical(arch) + "!"}, "no representative|not in the space"),
    "classes": ({"classes": 14}, "classes is not the number of representatives"),
    "unlisted": (
        {
            "representatives": refuses_everything,
            "classes": 15,
            "sample": lambda self, n, seed, *, canonical=True: Toy().sample(n, seed, canonical=canonical),
        },
        r"representatives\(\) refuses, which only a space that is too large to list may do",
    ),
    "mixed_classes": (
        {"canonical": lambda self, arch: f"{'linear' if self.parse(arch)[0] == 'rectifier' else arch[:-2]}-{arch[-1]}"},
        "differ by .* with corresponding weights; put only equal functions into one class",
    ),
    "mixed_connection": (
        {"canonical": lambda self, arch: f"{'none' if self.parse(arch)[0] == 'rectifier' else arch[:-2]}-{arch[-1]}"},
        "disagree whether input and output are connected",
    ),
    "graph_type": ({"graph": lambda self, arch: self.parse(arch) and {}}, "is a dict; return a graphs.dag.CellGraph"),
    "graph": (
        {"graph": lambda self, arch: self.parse(arch) and CellGraph(2, [(0, 1, 1)])},
        "the graph of 'none-.' is connected, and its network's output does not depend on the input",
    ),
    "random_state": ({"build": build_with(from_torch)}, "draws from the global random state"),
    "no_module": ({"build": build_with(lambda self, a, s, i: Toy().parse(a))}, "returns no nn.Module|no attribute"),
    "eval": ({"build": build_with(lambda self, a, s, i: Toy().build(a, seed=s, init=i).eval())}, "not in train mode"),
    "double": ({"build": build_with(lambda self, a, s, i: Toy().build(a, seed=s, init=i).double())}, "torch.float64"),
    "own_draws": (
        {"build": build_with(not_initialised)},
        "weights the second time; end in automl_theory.init",
    ),
    "not_by_name": ({"build": build_with(by_order)}, r"the weights \w+.weight differ between .* under one seed"),
    "one_seed": ({"build": build_with(fixed_seed)}, r"ignores the seed; end in automl_theory.initialise"),
    "any_init": ({"build": build_with(any_init)}, r"init='no such method'\) must raise InputError"),
    "sizes": (
        {"size_metrics": lambda self, arch: {**Toy().size_metrics(arch), "parameters": 7}},
        r"says parameters 7, the network has \d+; count what build makes",
    ),
    "sizes_missing": ({"size_metrics": lambda self, arch: {"parameters": 7}}, "size_metrics lacks .*'macs'"),
    "fingerprint": ({"fingerprint": lambda self, net: "toy"}, "networks with other parameters than .* have its fing"),
    "address": ({"fingerprint": lambda self, net: str(id(net)) + str(net.first.weight.sum())}, "have fingerprints"),
    "choices": ({"choices": {"width": (3, 4)}}, "choices must map each variable to its options; write"),
    "assemble": (
        {"choices": {"width": ("3", "9")}, "assemble": lambda self, chosen: f"relu-{chosen['width']}"},
        r"assemble\(\{'width': '9'\}\) is 'relu-9', which is not in the space",
    ),
    "thin": ({"build_thin": lambda self, arch, c, d, *, seed: "net"}, "build_thin returns no nn.Module"),
}


@pytest.mark.parametrize("name", BROKEN_SPACES)
def test_a_broken_space_is_caught(name):
    changes, message = BROKEN_SPACES[name]
    with pytest.raises(BrokenPromise, match=message) as error:
        check(type("Broken", (Toy,), changes)(), carry=lambda arch, state: state)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("space "), "it says who"


class Lazy(Toy):
    def build(self, arch, *, seed=0, init="pytorch"):
        self.parse(arch)
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))


def test_lazy_layers_are_named():
    with pytest.raises(BrokenPromise, match=r"has lazy layers, .* no shape before the first input; give every"):
        check(Lazy())


class LazyInitialised(Toy):
    def build(self, arch, *, seed=0, init="pytorch"):
        self.parse(arch)
        return initialise(nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), init, seed)


def test_lazy_layers_that_are_initialised_are_named():
    with pytest.raises(BrokenPromise, match=r"'1.weight' is lazy and has no shape yet; give its layer the size"):
        check(LazyInitialised())


class Wide(Toy):
    def build(self, arch, *, factor, seed=0, init="pytorch"):
        kind, width = self.parse(arch)
        return initialise(Layer(kind, factor * width), init, seed)

    size_metrics = None


class Uninitialised(Toy):
    def build(self, arch, *, seed=0):
        return super().build(arch, seed=seed)


def test_what_build_takes_is_asked_first():
    with pytest.raises(BrokenPromise, match=r"build cannot be called with .*missing a required .*'factor'.*network="):
        check(Wide())
    assert check(Wide(), network={"factor": 2})
    with pytest.raises(BrokenPromise, match=r"build cannot be called with .*'init'\); let it take seed, init and"):
        check(Uninitialised())


def test_a_class_and_a_function_are_not_what_is_checked():
    with pytest.raises(InputError, match=r"^Toy is a class; give an instance: check_space\(Toy\(\)\)$"):
        check_space(Toy)
    with pytest.raises(InputError, match=r"^shuffled is a function; give the space that it returns: check_space\(sh"):
        check_space(shuffled)
    with pytest.raises(InputError, match=r"mean_square at .* is no Proxy; wrap the function: check_proxy\(Proxy\("):
        check_proxy(mean_square)


def test_two_are_needed_to_compare():
    with pytest.raises(InputError, match="give at least 2"):
        check_space(Toy(), 1)


# Proxies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGISTRY)
def test_every_proxy_passes(name):
    assert len(check_proxy(name)) == 6


def mean_square(signals, power: float = 2.0):
    """Σ_i |f(x_i)|^p / n, the mean power of the outputs.

    Expressivity; maximize; unit: output^p. Edge values: 0 for outputs of zero. Source: this test.
    """
    value = float((signals.logits.abs().double() ** power).mean())
    return (value, "ok") if np.isfinite(value) else (float("nan"), "non_finite")


GOOD = Proxy("mean_square", "expressivity", "maximize", "output^p", mean_square)


def test_a_good_proxy_passes():
    assert len(check_proxy(GOOD)) == 6
    assert check_proxy(replace(GOOD, name="mean_square:power=3.0", parameters={"power": 3.0}))


def documented(compute):
    compute.__doc__ = mean_square.__doc__
    compute.__qualname__ = compute.__name__
    globals()[compute.__name__] = compute
    return compute


@documented
def undocumented_needs(signals):
    return float(signals.targets.sum()), "ok"


@documented
def drawn(signals):
    return float(np.random.default_rng().random()), "ok"


@documented
def drawn_globally(signals):
    torch.manual_seed(0)
    return float(torch.rand(())), "ok"


@documented
def scales_weights(signals):
    with torch.no_grad():
        for p in signals.net.parameters():
            p.mul_(0.5)
    return 1.0, "ok"


@documented
def leaves_gradients(signals):
    for p in signals.net.parameters():
        p.grad = torch.zeros_like(p)
    return 1.0, "ok"


@documented
def writes_batch(signals):
    signals.x.mul_(2)
    return 1.0, "ok"


@documented
def writes_logits(signals):
    value = float(signals.logits.std())
    signals.logits.zero_()
    return value, "ok"


@documented
def writes_labels(signals):
    signals.y[:] = 0
    return float(signals.logits.std()), "ok"


@documented
def writes_features(signals):
    value = signals.feature_spectrum.eigenvalues[-1]
    signals._features.mul_(5)
    return float(value), "ok"


@documented
def writes_kernel(signals):
    value = float(np.trace(signals.kernel))
    signals.kernel[:] /= 2
    return value, "ok"


@documented
def best_of_all(signals):
    nearest = float(torch.pdist(signals.logits).min())
    return (1 / nearest if nearest else float("inf")), "ok"


@documented
def a_number(signals):
    return 3.0


@documented
def odd_status(signals):
    return 3.0, "fine"


@documented
def sentinel(signals):
    return -1e8, "failed"


@documented
def nothing_and_ok(signals):
    return float("nan"), "ok"


@documented
def silent_undefined(signals):
    raise Undefined


@documented
def ignored_parameter(signals, flag=None):
    return 1.0, "ok"


@documented
def counts_calls(signals):
    signals.__dict__["calls"] = signals.__dict__.get("calls", 0) + 1
    return float(len(vars(signals))), "ok"


def no_words(signals):
    return 1.0, "ok"


def no_source(signals):
    """Σ f. Maximize. Edge values: none."""
    return 1.0, "ok"


def nested():
    def compute(signals):
        return 1.0, "ok"

    compute.__doc__ = mean_square.__doc__
    return compute


BROKEN_PROXIES = {
    "name": (replace(GOOD, name="mean square"), "a name is letters, digits and _"),
    "family": (replace(GOOD, family="speed"), "unknown family 'speed'; use one of"),
    "direction": (replace(GOOD, direction="up"), "unknown direction 'up'"),
    "other_direction": (replace(GOOD, direction="minimize"), "does not say 'minimize'"),
    "unit": (replace(GOOD, unit=""), "it has no unit"),
    "needs": (replace(GOOD, needs="kernel"), "needs must be a set"),
    "revision": (replace(GOOD, revision=0), "revision must be 1 or more"),
    "no_words": (replace(GOOD, compute=no_words), "compute has no docstring; begin it with the formula"),
    "no_source": (replace(GOOD, compute=no_source), "does not say 'source'; write 'Source: ...', the paper"),
    "unknown_parameter": (replace(GOOD, parameters={"p": 1}), r"it sets \['p'\], which compute does not take"),
    "parameter": (replace(GOOD, compute=ignored_parameter), "its parameter 'flag' has the default None"),
    "lambda": (replace(GOOD, compute=nested()), "cannot be sent to a worker"),
    "needs_labels": (replace(GOOD, compute=undocumented_needs), "raises AttributeError.*name in `needs`"),
    "drawn": (replace(GOOD, compute=drawn), "one network and batch give .*; draw from a generator seeded by signals"),
    "drawn_globally": (replace(GOOD, compute=drawn_globally), "it changes the random state"),
    "scales_weights": (replace(GOOD, compute=scales_weights), "it changes weights or buffers; work on copies"),
    "leaves_gradients": (replace(GOOD, compute=leaves_gradients), "it changes mode, gradients, requires_grad or hooks"),
    "writes_batch": (replace(GOOD, compute=writes_batch), "it changes the batch"),
    "writes_logits": (replace(GOOD, compute=writes_logits), "it changes the logits"),
    "writes_labels": (replace(GOOD, compute=writes_labels, needs=frozenset({"labels"})), "it changes the labels"),
    "writes_features": (
        replace(GOOD, compute=writes_features, needs=frozenset({"features"})),
        "it changes the features",
    ),
    "writes_kernel": (replace(GOOD, compute=writes_kernel, needs=frozenset({"kernel"})), "it changes the kernel"),
    "best_of_all": (
        replace(GOOD, compute=best_of_all),
        "a batch with equal samples gets inf, which would rank first; return -inf, or NaN",
    ),
    "a_number": (replace(GOOD, compute=a_number), r"raises TypeError.*; return \(float, status\)"),
    "odd_status": (replace(GOOD, compute=odd_status), "the status one of ok, saturated"),
    "sentinel": (replace(GOOD, compute=sentinel), "gets -100000000.0 with status 'failed'; a value goes with ok"),
    "nothing_and_ok": (
        replace(GOOD, compute=nothing_and_ok),
        "an ordinary network, .* gets no number .non_finite.; a NaN",
    ),
    "silent_undefined": (replace(GOOD, compute=silent_undefined), "it is undefined and does not say why"),
    "counts_calls": (replace(GOOD, compute=counts_calls), "other proxies came before; name in `needs` what it reads"),
    "no_proxy": (3, "it is no Proxy"),
}


@pytest.mark.parametrize("name", BROKEN_PROXIES)
def test_a_broken_proxy_is_caught(name):
    proxy, message = BROKEN_PROXIES[name]
    with pytest.raises(BrokenPromise, match=message) as error:
        check_proxy(proxy)
    assert "\n" not in str(error.value)


def test_names_are_looked_up():
    assert check_proxy("naswot") == check_proxy(get_proxy("naswot"))
    with pytest.raises(InputError, match="unknown proxy 'naswat'"):
        check_proxy("naswat")
