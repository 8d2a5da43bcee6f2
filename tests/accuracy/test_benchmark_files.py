"""Benchmark files against the benchmarks' own APIs, and hostile ones against nothing happening."""

from __future__ import annotations

import bz2
import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import builders
import nas_201_api
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.accuracy import benchmark_files
from automl_theory.accuracy.recipe import line
from automl_theory.accuracy.record_reader import RecordReader
from automl_theory.accuracy.stream import Window
from automl_theory.accuracy.tables import load_accuracy
from automl_theory.errors import InputError

nats_bench = pytest.importorskip("nats_bench", reason="needs the extra 'dev'")
CELLS = builders.CELLS
QUERIES = [
    ("cifar10-valid", "cifar10-valid"),
    ("cifar10", "cifar10"),
    ("cifar100", "cifar100"),
    ("ImageNet16-120",) * 2,
]


@pytest.fixture(scope="module")
def content() -> Any:
    return builders.nas_bench_201()


@pytest.fixture(scope="module")
def pth(content: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pth") / "mine.pth"
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builders.nats_folder(tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple")


def expected(api: Any, index: int, dataset: str, hp: str) -> dict[str, float]:
    """What the API says of an architecture, averaged over its seeds."""
    info = api.get_more_info(index, dataset, iepoch=None, hp=hp, is_random=False)
    cost = api.get_cost_info(index, dataset, hp=hp)
    names = {f"{split}_{metric}": info.get(f"{split}-{metric}") for split in ("train", "valid", "test", "valtest")
             for metric in ("accuracy", "loss")}  # fmt: skip
    names |= {"params": cost["params"], "flops": cost["flops"], "latency": cost["latency"]}
    return {name: value for name, value in names.items() if value is not None}


@pytest.mark.parametrize(("hp", "epochs"), [("12", 3), ("200", 5)])
@pytest.mark.parametrize("dataset", [name for name, _ in QUERIES])
def test_a_pth_file_says_what_nas_201_api_says(pth: Path, content: Any, dataset: str, hp: str, epochs: int) -> None:
    api = nas_201_api.NASBench201API(content, verbose=False)
    table = load_accuracy(pth, dataset=dataset, epochs=epochs)
    assert table.index.tolist() == list(CELLS)
    for index, arch in enumerate(CELLS):
        found = table.loc[arch].dropna().to_dict()
        wanted = expected(api, index, dataset, hp)
        if dataset == "cifar10":
            valid = expected(api, index, "cifar10-valid", hp)
            wanted |= {f"valid_{metric}": valid[f"valid_{metric}"] for metric in ("accuracy", "loss")}
        plain = {name: value for name, value in found.items() if "_seed" not in str(name)}
        assert plain == pytest.approx(wanted, rel=1e-15)
        for seed in (777, 888, 999)[: (1, 2, 3, 3)[index]] if epochs == 5 else ():
            one = api.get_more_info(index, dataset, hp=hp, is_random=seed)
            assert found[f"test_accuracy_seed{seed}"] == one["test-accuracy"]
            assert found[f"train_loss_seed{seed}"] == one["train-loss"]
    recipe = table.attrs["accuracy"]
    counts = {"1": 1, "2": 1, "3": 2} if epochs == 5 else {"1": 4}
    assert (recipe["dataset"], recipe["epochs"], recipe["runs_per_architecture"]) == (dataset, epochs, counts)
    assert recipe["seeds"] == ([777, 888, 999] if epochs == 5 else [777])
    assert recipe["release"] == "unstated release (NAS-Bench-201 format)"


@pytest.mark.parametrize("dataset", [name for name, _ in QUERIES])
def test_a_nats_folder_says_what_nats_bench_says(folder: Path, dataset: str) -> None:
    api = nats_bench.create(str(folder), "tss", fast_mode=True, verbose=False)
    table = load_accuracy(folder, dataset=dataset, epochs=5)
    for index, arch in enumerate(CELLS):
        wanted = expected(api, index, dataset, "05")
        found = table.loc[arch].to_dict()
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-15)
    assert table.attrs["accuracy"]["release"] == "NATS-Bench v1.0"
    assert table.attrs["accuracy"]["architectures"] == "4 of 15625"


def test_the_size_space_folder_and_file(tmp_path: Path) -> None:
    folder = builders.nats_folder(tmp_path / "NATS-sss-v1_0-50262-simple", builders.WIDTHS, epochs=(1, 4))
    table = load_accuracy(folder, dataset="cifar100")
    assert table.index.tolist() == list(builders.WIDTHS)
    assert table.attrs["accuracy"]["epochs"] == 4, "the longest"
    assert table.attrs["accuracy"]["space"] == "nats_bench_size"
    infos = {index: builders.nats_bench(index, arch, (1, 4)) for index, arch in enumerate(builders.WIDTHS)}
    whole = {"meta_archs": list(builders.WIDTHS), "arch2infos": infos, "evaluated_indexes": set(infos)}
    path = builders.write_pbz2(tmp_path / "NATS-sss-v1_0-50262.pickle.pbz2", whole)
    single = load_accuracy(path, dataset="cifar100")
    pd.testing.assert_frame_equal(single, table, check_exact=True)
    one = load_accuracy(folder / "000001.pickle.pbz2", dataset="cifar100")
    pd.testing.assert_frame_equal(one, table.iloc[[1]], check_exact=True)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_form_torch_has_written(pth: Path, content: Any, tmp_path: Path, zipped: bool, protocol: int) -> None:
    path = tmp_path / "form.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped, pickle_protocol=max(protocol, 2))
    if protocol == 0:
        path.write_bytes(b"\x80\x02" + pickle.dumps(content, protocol=0))
    pd.testing.assert_frame_equal(
        load_accuracy(path, dataset="cifar10"), load_accuracy(pth, dataset="cifar10"), check_exact=True
    )


@pytest.mark.parametrize(("old", "new"), [(b"numpy._core.multiarray", b"numpy.core.multiarray")])
def test_files_of_numpy_before_2(folder: Path, tmp_path: Path, old: bytes, new: bytes, content: Any) -> None:
    packed = pickle.dumps(content, protocol=2)
    assert old in packed
    path = tmp_path / "old.pickle.pbz2"
    path.write_bytes(bz2.compress(packed.replace(old, new)))
    assert load_accuracy(path, dataset="cifar10").shape[0] == 4


def test_weights_are_passed_over(tmp_path: Path) -> None:
    from nas_201_api import api_utils as api

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    record = builders.record(api, 0, CELLS[0], 3, (777, 888), weights=net.state_dict())
    bare = builders.record(api, 0, CELLS[0], 3, (777, 888))
    plain = load_accuracy(builders.write_pbz2(tmp_path / "p.pickle.pbz2", bare), dataset="cifar10")
    for number, zipped in enumerate((True, False)):
        path = tmp_path / f"{number:06d}-FULL.pth"
        empty = record | {"all_results": {}}
        torch.save({"full": record, "less": empty}, path, _use_new_zipfile_serialization=zipped)
        table = load_accuracy(path, dataset="cifar10")
        pd.testing.assert_frame_equal(table, plain, check_exact=True)
    packed = builders.write_pbz2(tmp_path / "full.pickle.pbz2", {"200": record})
    pd.testing.assert_frame_equal(load_accuracy(packed, dataset="cifar10"), plain, check_exact=True)


def test_an_archive_folder_of_nas_bench_201(content: Any, pth: Path, tmp_path: Path) -> None:
    for index, infos in content["arch2infos"].items():
        torch.save(infos, tmp_path / f"{index:06d}-FULL.pth")
    table = load_accuracy(tmp_path, dataset="cifar100", epochs=5)
    pd.testing.assert_frame_equal(table, load_accuracy(pth, dataset="cifar100", epochs=5), check_exact=True)


def test_curves_passed_over_and_curves_read_are_equal(pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow way, which makes every dictionary whole, is the oracle of the fast one."""
    fast = load_accuracy(pth, dataset="cifar10")
    calls = []
    monkeypatch.setattr(RecordReader, "pass_curve", lambda self: bool(calls.append(1)))
    pd.testing.assert_frame_equal(fast, load_accuracy(pth, dataset="cifar10"), check_exact=True)
    assert len(calls) > 300


def test_most_of_a_file_is_passed_over(pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = []
    way = RecordReader.pass_curve
    monkeypatch.setattr(RecordReader, "pass_curve", lambda self: passed.append(way(self)) or passed[-1])
    load_accuracy(pth, dataset="cifar10")
    runs = 4 * 4 + 4 * (1 + 2 + 3 + 3)
    assert sum(passed) == runs * 6, "train accuracy, loss, time and test accuracy, loss, time of each run"


def test_odd_orders_of_epochs_keep_the_last(tmp_path: Path) -> None:
    from nas_201_api import api_utils as api

    record = builders.record(api, 0, CELLS[0], 4, (777,))
    for run in record["all_results"].values():
        for field in ("train_acc1es", "train_losses", "eval_acc1es", "eval_losses"):
            run[field] = dict(reversed(run[field].items()))
    turned = load_accuracy(builders.write_pbz2(tmp_path / "t.pickle.pbz2", record, 2), dataset="cifar10")
    plain = builders.record(api, 0, CELLS[0], 4, (777,))
    wanted = load_accuracy(builders.write_pbz2(tmp_path / "w.pickle.pbz2", plain, 2), dataset="cifar10")
    pd.testing.assert_frame_equal(turned, wanted, check_exact=True)


def test_reading_needs_no_torch(pth: Path) -> None:
    code = (
        f"import sys; sys.modules['torch'] = None; from automl_theory.accuracy.tables import load_accuracy; "
        f"assert len(load_accuracy({str(pth)!r}, dataset='cifar10')) == 4"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


names = st.sampled_from(["x-valid", "ori-test", "train"])
curves = st.dictionaries(
    st.one_of(st.integers(0, 2000), st.builds("{}@{}".format, names, st.integers(0, 300))), st.floats(), max_size=40
)


@settings(deadline=None, max_examples=150)
@given(st.lists(curves, min_size=1, max_size=6), st.booleans(), st.integers(0, 5))
def test_the_last_entry_of_every_curve_survives(made: list[dict[Any, float]], shared: bool, protocol: int) -> None:
    """Any mixture of keys, keys shared or not between dictionaries, of every protocol, against the definition."""
    run = {f"curve {i}": dict(curve) for i, curve in enumerate(made)}
    if shared:  # as losses share their keys with accuracies
        run |= {f"again {i}": dict.fromkeys(curve, 0.5) for i, curve in enumerate(made)}
    seen: list[Any] = []
    content = [made[0], {"arch_str": "x", "all_results": {("a", 1): run}}, {"ended": 1}]
    reader = RecordReader(
        Window(io.BytesIO(pickle.dumps(content, protocol=protocol)), 2**30),
        lambda record: seen.append({name: dict(curve) for name, curve in record["all_results"]["a", 1].items()}),
    )
    assert reader.load()[2] == {"ended": 1}
    assert seen[0].keys() == run.keys()
    for name, curve in run.items():
        found = seen[0][name]
        for key, value in found.items():
            np.testing.assert_equal(value, curve[key])
        kinds: dict[str, int] = {}
        for key in curve:
            kind, _, epoch = str(key).rpartition("@")
            kinds[kind] = max(kinds.get(kind, -1), int(epoch))
        assert {f"{kind}@{last}" if kind else last for kind, last in kinds.items()} <= found.keys()


# The real records.


def real(shared: Path, name: str) -> Path:
    path = shared / "data" / "genuine_records" / name
    if not path.exists():
        pytest.skip(f"the real record {path} is absent")
    return path


@pytest.mark.parametrize("name", ["NATS-tss-v1_0-3ffb9-simple", "NB201-mini.pth"])
def test_genuine_records_have_the_published_accuracies(shared: Path, name: str) -> None:
    published = pd.read_parquet(shared / "data" / "nb201_accuracy.parquet").set_index("arch_str")
    valid = pd.read_parquet(shared / "data" / "nb201_accuracy_valid200.parquet").set_index("index")
    path = real(shared, name)
    for dataset, short in (("cifar10", "c10"), ("cifar100", "c100")):
        table = load_accuracy(path, dataset=dataset, epochs=200)
        rows = published.loc[table.index]
        np.testing.assert_allclose(table["test_accuracy"], rows[f"{short}_test_e200"], atol=1e-5)
        at_end = valid.loc[rows["index"], f"{short}_valid_e200"]
        np.testing.assert_allclose(table["valid_accuracy"], at_end, atol=1e-5)
        brief = load_accuracy(path, dataset=dataset, epochs=12)
        np.testing.assert_allclose(brief["test_accuracy"], rows[f"{short}_test_e12"], atol=1e-5)
        np.testing.assert_allclose(brief["valid_accuracy"], rows[f"{short}_valid_e12"], atol=1e-5)
        if dataset == "cifar10":
            runs = np.sort(table[[f"test_accuracy_seed{seed}" for seed in (777, 888, 999)]])
            np.testing.assert_allclose(runs, np.sort(rows[[f"c10_test_e200_run{k}" for k in range(3)]]), atol=1e-5)
            np.testing.assert_allclose(table["params"] * 1e6, rows["params_c10"], rtol=1e-9)
            # The benchmark counts the classifier's bias too.
            np.testing.assert_allclose(table["flops"] * 1e6, rows["flops_c10"] + 10, rtol=1e-9)
    single = load_accuracy(path, dataset="cifar10-valid", epochs=200, split="test")
    at_end = valid.loc[published.loc[single.index, "index"], "c10v_test_e200"]
    np.testing.assert_allclose(single["test_accuracy"], at_end, atol=1e-5)
    assert [c for c in single.columns if "_seed" not in c] == [
        "test_accuracy",
        "test_loss",
        "params",
        "flops",
        "latency",
    ]


@pytest.mark.parametrize("hp", ["01", "12", "90"])
def test_genuine_size_records_agree_with_nats_bench(shared: Path, hp: str) -> None:
    path = real(shared, "NATS-sss-v1_0-50262-simple")
    api = nats_bench.create(str(path), "sss", fast_mode=True, verbose=False)
    table = load_accuracy(path, dataset="ImageNet16-120", epochs=int(hp))
    assert table.attrs["accuracy"]["release"] == "NATS-Bench v1.0"
    for index in (0, 11, 284):
        wanted = expected(api, index, "ImageNet16-120", hp)
        found = table.loc[api.arch(index)].to_dict()
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-15)


# The traps of the APIs.


def test_the_recipe_says_everything(folder: Path) -> None:
    table = load_accuracy(folder, dataset="cifar10", epochs=5)
    assert table.attrs["accuracy"] == {
        "release": "NATS-Bench v1.0", "space": "nas_bench_201", "file": "NATS-tss-v1_0-3ffb9-simple",
        "architectures": "4 of 15625", "dataset": "cifar10", "epochs": 5,
        "splits": {"train": "train", "valid": "x-valid of cifar10-valid", "test": "ori-test"},
        "seeds": [777, 888, 999], "runs_per_architecture": {"3": 4}, "unit": "percent",
    }  # fmt: skip
    assert line(table.attrs["accuracy"]) == (
        "NATS-Bench v1.0, cifar10, 5 epochs, train: train; valid: x-valid of cifar10-valid; test: ori-test images, "
        "mean of 3 seeds, from NATS-tss-v1_0-3ffb9-simple"
    )


def test_the_same_question_has_the_same_answer(pth: Path) -> None:
    tables = [load_accuracy(pth, dataset="cifar100") for _ in range(3)]
    for table in tables:
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"results of cifar10, cifar100, ImageNet16-120: name the one wanted as dataset"),
        ({"dataset": "cifr10"}, r"unknown dataset 'cifr10'; there is: .*Did you mean 'cifar10'\?"),
        ({"dataset": "imagenet"}, r"unknown dataset 'imagenet'.*Did you mean 'ImageNet16-120'\?"),
        ({"dataset": "cifar10", "epochs": 12}, r"no schedule of 12 epochs for cifar10; there is: 3, 5 "),
        ({"dataset": "cifar10", "epochs": 4}, r"no schedule of 4 epochs .*not an epoch of a longer one"),
        (
            {"dataset": "cifar10", "epochs": "200"},
            r"epochs must be a whole number of at least 1, such as 200; got '200'",
        ),
        ({"dataset": "cifar10", "epochs": 0}, r"epochs must be a whole number of at least 1"),
        ({"dataset": "cifar10", "split": "tst"}, r"unknown split 'tst'; there is: .*Did you mean 'test'\?"),
        ({"dataset": "cifar10", "split": "valtest"}, r"there is no valtest of cifar10"),
        ({"dataset": "cifar10", "columns": {"a": "b"}}, r"columns are for \.csv and \.parquet tables"),
    ],
)
def test_questions_without_an_answer(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_accuracy(folder, **options)
    assert "\n" not in str(caught.value)


def test_names_of_data_sets_are_found_however_they_are_written(folder: Path) -> None:
    for name in ("CIFAR-10", "cifar_10", "cifar10"):
        assert load_accuracy(folder, dataset=name).attrs["accuracy"]["dataset"] == "cifar10"
    assert load_accuracy(folder, dataset="imagenet16_120").attrs["accuracy"]["dataset"] == "ImageNet16-120"


def test_splits_by_the_names_of_the_benchmarks(folder: Path) -> None:
    for dataset, names in (
        ("cifar10", {"ori-test": "test"}),
        ("cifar100", {"x-valid": "valid", "x-test": "test", "ori-test": "valtest"}),
    ):
        for theirs, ours in names.items():
            table = load_accuracy(folder, dataset=dataset, split=theirs)
            pd.testing.assert_frame_equal(table, load_accuracy(folder, dataset=dataset, split=ours), check_exact=True)
            assert table.columns[0] == f"{ours}_accuracy"


def test_a_diverged_seed_makes_the_mean_loss_missing(tmp_path: Path) -> None:
    state = builders.nats_bench(0, CELLS[0])
    run = state["05"]["all_results"]["cifar10", 888]
    run["eval_losses"] = dict.fromkeys(run["eval_losses"], float("nan"))
    table = load_accuracy(builders.write_pbz2(tmp_path / "x.pickle.pbz2", state), dataset="cifar10")
    assert np.isnan(table["test_loss"].iloc[0])
    assert table[["test_accuracy", "train_loss", "test_loss_seed777"]].notna().all(axis=None)


def test_unmeasured_latency_is_missing_and_not_minus_one(tmp_path: Path) -> None:
    from nats_bench import api_utils as api

    path = builders.write_pbz2(tmp_path / "x.pickle.pbz2", builders.record(api, 0, CELLS[0], 3, (777,), latency=False))
    assert "latency" not in load_accuracy(path, dataset="cifar10").columns


def test_costs_that_differ_between_seeds_are_those_of_seed_888(tmp_path: Path) -> None:
    from nats_bench import api_utils as api

    state = builders.record(api, 0, CELLS[0], 3, (777, 888))
    for (_, seed), run in state["all_results"].items():
        run["flop"], run["params"] = (7.5, 0.5) if seed == 888 else (1.0, 0.1)
    table = load_accuracy(builders.write_pbz2(tmp_path / "x.pickle.pbz2", state), dataset="cifar10")
    assert table[["params", "flops"]].iloc[0].tolist() == [0.5, 7.5]
    assert api.ArchResults.create_from_state_dict(state).get_compute_costs("cifar10")["flops"] == 7.5


def test_a_release_is_known_by_how_many_runs_it_has() -> None:
    from automl_theory.accuracy.recipe import release_of

    assert release_of("a.pth", "NAS-Bench-201", "topology", {1: 2225, 2: 5439, 3: 7961}) == "NAS-Bench-201 v1.1"
    assert release_of("NAS-Bench-201-v1_0-e61699.pth", "x", "topology", {1: 3}) == "NAS-Bench-201 v1.0"
    with pytest.raises(InputError, match=r"named NATS-Bench v1\.0 but has the runs of NAS-Bench-201 v1\.1.*mixed up"):
        release_of("NATS-tss-v1_0-3ffb9", "NATS-Bench", "topology", {1: 2225, 2: 5439, 3: 7961})
    with pytest.raises(InputError, match=r"named as the topology space .* but holds the size space"):
        release_of("NATS-tss-v1_0-3ffb9", "NATS-Bench", "size", {3: 3})


# Hostile and broken files.


class Payload:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def refused(path: Path, match: str, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_accuracy(path, dataset="cifar10", **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert path.name in str(caught.value)


def hostile(kind: str, folder: Path, trace: Path) -> Path:
    bad: Any = {"meta_archs": [Payload(trace)], "arch2infos": {}}
    if kind == "in a record":
        bad = builders.nats_bench(0, CELLS[0])
        next(iter(bad["05"]["all_results"].values()))["net_state_dict"] = Payload(trace)
    path = folder / ("evil.pickle.pbz2" if kind in ("bz2", "in a record", "folder") else "evil.pth")
    if kind in ("bz2", "in a record", "folder"):
        builders.write_pbz2(path, bad)
    elif kind == "torch zip":
        torch.save(bad, path)
    elif kind == "torch old":
        torch.save(bad, path, _use_new_zipfile_serialization=False)
    elif kind == "plain pickle":
        path.write_bytes(pickle.dumps(bad))
    if kind == "folder":
        builders.nats_folder(folder / "records", CELLS[:2])
        shutil.copy(path, folder / "records" / "000001.pickle.pbz2")
        return folder / "records"
    return path


@pytest.mark.parametrize("kind", ["bz2", "in a record", "torch zip", "torch old", "plain pickle", "folder"])
def test_a_payload_is_refused_by_name_and_does_not_run(tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "trace"
    path = hostile(kind, tmp_path, trace)
    refused(path, r"could run code")
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:.*trust_pickle")  # the warning has a test of its own
@pytest.mark.parametrize("kind", ["bz2", "torch zip", "torch old"])
def test_a_trusted_pickle_runs(tmp_path: Path, kind: str) -> None:
    """What the flag says: this is the only way to let a file run code."""
    trace = tmp_path / "trace"
    with pytest.raises(InputError):
        load_accuracy(hostile(kind, tmp_path, trace), dataset="cifar10", trust_pickle=True)
    assert trace.exists()


def test_trusting_says_what_it_means_and_reads_objects_too(tmp_path: Path, pth: Path, content: Any) -> None:
    from nas_201_api import api_utils as api

    with pytest.warns(UserWarning, match=r"mine\.pth is unpickled, and whatever code it holds runs with your rights"):
        table = load_accuracy(pth, dataset="cifar10", trust_pickle=True)
    pd.testing.assert_frame_equal(table, load_accuracy(pth, dataset="cifar10"), check_exact=True)
    objects = {i: api.ArchResults.create_from_state_dict(info["full"]) for i, info in content["arch2infos"].items()}
    path = builders.write_pbz2(tmp_path / "objects.pickle.pbz2", objects)
    refused(path, r"nas_201_api\.api_utils\.ArchResults, which could run code")
    with pytest.warns(UserWarning, match="trust_pickle"):
        trusted = load_accuracy(path, dataset="cifar10", trust_pickle=True)
    pd.testing.assert_frame_equal(trusted, table, check_exact=True)


@pytest.mark.parametrize("part", [0, 1, 10, 1000, 0.5, -1])
@pytest.mark.parametrize("form", ["zip", "old", "bz2"])
def test_truncated_files(tmp_path: Path, content: Any, part: float, form: str) -> None:
    path = tmp_path / ("cut.pickle.pbz2" if form == "bz2" else "cut.pth")
    if form == "bz2":
        builders.write_pbz2(path, content)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole)) if 0 < part < 1 else int(part)])
    refused(path, r"is empty|cut short|broken|is no file of|damaged|expected a (whole|readable) pickle|plain data")


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_are_one_line_or_the_right_answer(tmp_path: Path, folder: Path, seed: int) -> None:
    """Random bytes changed after unpacking: whatever comes of it is refused in a line, or is a table."""
    rng = np.random.default_rng(seed)
    packed = bytearray(bz2.decompress((folder / "000001.pickle.pbz2").read_bytes()))
    for _ in range(3):
        packed[rng.integers(len(packed))] = rng.integers(256)
    path = tmp_path / "x.pickle.pbz2"
    path.write_bytes(bz2.compress(bytes(packed)))
    said = ""
    try:
        table = load_accuracy(path, dataset="cifar10")
        assert table["test_accuracy"].between(0, 100).all()
    except InputError as error:
        said = str(error)
    assert "\n" not in said


def test_a_bz2_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.pickle.pbz2"
    path.write_bytes(bz2.compress(b"\x80\x04(" + b"N" * (20 * 2**20)))
    assert path.stat().st_size < 10_000
    refused(path, r"more than the 16777216 bytes allowed|values in one container")


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (b"(" * 3_000_000, "nested beyond reason"),
        (b"}" * 2_000_000, "lists, dictionaries and tuples"),
        (b"]" + (b"(" + b"]" * 1000 + b"e") * 1000, "lists, dictionaries and tuples"),
        (b"N" * 4_000_000, "values in one container"),
        (b"X\xff\xff\xff\x7f", "declared size"),
        (b"\x8e" + (2**40).to_bytes(8, "little"), "declared size"),
        (b"Pabc\n", "instruction 'P'"),
        (b"\x82\x01", "instruction"),
    ],
)
def test_memory_bombs(tmp_path: Path, inside: bytes, message: str) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + inside + b".")
    refused(path, message)


def test_a_zip_bomb_and_other_zips(tmp_path: Path, pth: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + b"N" * 2**24)
    refused(path, "compressed or encrypted pickle, which torch.save never writes")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, r"is a zip file, but not one of torch\.save")
    whole = bytearray(pth.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    refused(path, "damaged|broken|accuracy|no percentage|plain data|expected")


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_changed_number_is_found_by_the_checksum(tmp_path: Path, pth: Path, place: float) -> None:
    whole = bytearray(pth.read_bytes())
    at = whole.index(b"G@", int(place * len(whole))) + 4
    whole[at] ^= 1
    path = tmp_path / "changed.pth"
    path.write_bytes(whole)
    refused(path, r"changed\.pth is damaged \(Bad CRC-32")


def test_a_file_with_results_of_others(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.pth"
    torch.save({**content, "meta_archs": list(CELLS[:3])}, path)
    refused(path, r"x\.pth has results of \|none~0.*, which its own list of architectures lacks")
    builders.nats_folder(tmp_path / "records", CELLS[:1], meta=False)
    builders.write_pbz2(tmp_path / "records" / "meta.pickle.pbz2", {"meta_archs": [["unhashable"]]})
    refused(tmp_path / "records", "holds no list meta_archs")


def changed(field: str, value: Any, epochs: int = 3) -> Any:
    from nats_bench import api_utils as api

    state = builders.record(api, 0, CELLS[0], epochs, (777,))
    if field in state:
        state[field] = value
        return state
    for run in state["all_results"].values():
        old = run[field]
        run[field] = {key: value for key in old} if isinstance(old, dict) and not isinstance(value, dict) else value
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("eval_acc1es", float("nan")), "accuracy nan is no percentage"),
        (changed("train_acc1es", float("nan")), "train accuracy nan is no percentage"),
        (changed("eval_acc1es", {}), "accuracy nan is no percentage"),
        (changed("eval_acc1es", 250.0), r"accuracy 250\.0 is no percentage"),
        (changed("eval_acc1es", -1.0), r"accuracy -1\.0 is no percentage"),
        (changed("eval_acc1es", 0.93), "looks like fractions"),
        (changed("eval_acc1es", "93"), "expected a number, got '93'"),
        (changed("epochs", None), "None epochs"),
        (changed("epochs", 10**9), "accuracy nan is no percentage"),
        (changed("params", "big"), "expected a number, got 'big'"),
        (changed("latency", [None]), "expected a number, got 'None'"),
        (changed("all_results", []), "a record without runs"),
        (changed("all_results", {"x": {}}), "a run named 'x', not"),
        (changed("all_results", {("mnist", 1): {}}), "no data set of these benchmarks"),
        (changed("arch_str", "|sep_conv~0|"), "is no cell of NAS-Bench-201"),
        (changed("arch_str", 3), "a result of '3', which is no cell"),
        ({"meta_archs": list(CELLS)}, "holds no trained results"),
        ([1, 2], "holds no trained results"),
    ],
)
def test_records_that_are_wrong(tmp_path: Path, state: Any, message: str) -> None:
    refused(builders.write_pbz2(tmp_path / "x.pickle.pbz2", state), message)


def test_mixed_folders(tmp_path: Path, content: Any) -> None:
    folder = builders.nats_folder(tmp_path / "mixed", CELLS[:2])
    torch.save(content["arch2infos"][2], folder / "000002-FULL.pth")
    refused(folder, r"holds \.pth and \.pickle\.pbz2 records: releases are mixed")
    (folder / "000002-FULL.pth").unlink()
    builders.write_pbz2(folder / "000001.pickle.pbz2", builders.nats_bench(1, builders.WIDTHS[0]))
    refused(folder, "are of different search spaces: releases are mixed")
    builders.write_pbz2(folder / "000001.pickle.pbz2", builders.nats_bench(1, CELLS[2]))
    refused(folder, r"should hold \|nor_conv_3x3~0.* but holds \|skip_connect~0.*: releases are mixed")
    (folder / "meta.pickle.pbz2").unlink()
    builders.write_pbz2(folder / "000001.pickle.pbz2", builders.nats_bench(1, CELLS[0]))
    refused(folder, "is there twice: releases or folders are mixed")
    (folder / "000001.pickle.pbz2").write_bytes(b"")
    refused(folder, r"000001\.pickle\.pbz2 is empty")


def test_folders_without_records(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no records .* but nothing; give the folder that holds them")
    (tmp_path / "empty" / "sub").mkdir()
    refused(tmp_path / "empty", "but sub; give")
    builders.write_pbz2(tmp_path / "only" / "meta.pickle.pbz2", {"meta_archs": list(CELLS)})
    refused(tmp_path / "only", r"but meta\.pickle\.pbz2")
    refused(tmp_path / "only" / "meta.pickle.pbz2", "but a list of architectures")
    (tmp_path / "x.pth").write_bytes(b"<html>not found</html>")
    refused(tmp_path / "x.pth", r"is no file of NAS-Bench-201 .*begins with b'<htm'")


def test_a_large_file_says_first_what_it_will_take(
    pth: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark_files, "LARGE", 1000)
    load_accuracy(pth, dataset="cifar10")
    told = capsys.readouterr().err
    assert re.match(r"mine\.pth: \d\.\d GB; reading it once takes about \d+ s and 0\.\d GB of memory \(as obj", told)
    with pytest.warns(UserWarning, match="trust_pickle"):
        load_accuracy(pth, dataset="cifar10", trust_pickle=True)
    told = capsys.readouterr().err
    assert re.match(r"mine\.pth: \d\.\d GB; unpickled it takes about \d+ GB of memory \(0\.\d GB without trust_", told)


def test_progress_of_a_folder(folder: Path) -> None:
    told: list[tuple[int, int, int]] = []
    load_accuracy(folder, dataset="cifar10", progress=lambda *where: told.append(where))
    assert told == [(0, 4, 0), (1, 4, 0), (2, 4, 0), (3, 4, 0), (4, 4, 0)]
