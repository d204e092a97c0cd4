import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from repository import ROOT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convlab import cli, files
from convlab.config import load_params, read_params
from convlab.config.strict_yaml import read_yaml
from convlab.data.catalogue import DATASETS
from convlab.models.build import build_model
from convlab.models.summary import layers_of, summarise
from convlab.networks.describe import torchsummary
from convlab.schema import Experiment

PARAMS = load_params(ROOT / "params.yaml")
TRIALS = {
    f"{name}/{trial.name}": trial.experiment
    for name, sweep in PARAMS.sweeps.items()
    for trial in sweep.trials
}
SMALL = [
    name
    for name, experiment in PARAMS.experiments.items()
    if "resnet" not in name and "best" not in name and experiment.dataset in DATASETS
]


def network(experiment: Experiment) -> nn.Module:
    return build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))


def shapes(experiment: Experiment) -> dict[str, tuple[int, ...]]:
    layers = layers_of(network(experiment), experiment.input_shape)
    return {layer.name: layer.output_shape for layer in layers}


# ------------------------------------------------------------------------------------- the reports' networks


@pytest.mark.parametrize(
    ("name", "trainable", "total"),
    [
        ("digits", 25_466, 25_658),
        ("mnist_vgg", 585_066, 585_962),  # R0
        ("mnist_cnn", 421_642, 421_642),
        ("cifar10_cnn", 550_570, 550_570),
        ("cifar10_simplecnn", 114_186, 114_634),  # R2 prints the first
        ("cifar10_resnet18", 11_173_962, 11_183_562),  # R2 prints the first
        ("mnist_2x2", 1_612_746, 1_612_746),  # R3
        ("cifar10_grey", 307_370, 307_818),  # R3 prints both
        ("fashion_preact", 1_267_146, 1_269_514),
        ("mnist_best", 585_066, 585_962),
        ("fashion_best", 5_057_418, 5_062_154),
        ("cifar10_best", 11_173_962, 11_183_562),
        ("cifar10_fast", 1_971_352, 1_975_096),  # the second with the whitening layer, which is not trained
        ("headline_mnist", 141_512, 142_504),
        ("headline_fashion", 289_736, 291_112),
        ("headline_grey", 492_616, 494_376),
        ("headline_cifar10", 497_240, 499_256),
        ("headline_cifar10_94", 1_971_352, 1_975_096),
    ],
)
def test_a_network_has_exactly_its_parameters_and_ten_logits(name: str, trainable: int, total: int) -> None:
    experiment = PARAMS.experiments[name]
    model = network(experiment)
    summary = summarise(model, experiment.input_shape)
    assert summary.trainable_parameters == trainable
    assert summary.total_parameters == total
    assert summary.layers[-1].output_shape == (10,)


def test_every_experiment_in_the_tables_is_counted_above() -> None:
    rows = [row for report in read_yaml(ROOT / "reports.yaml").values() for row in report["rows"]]
    shown = {str(row["result"]).partition("/")[0] for row in rows} & PARAMS.experiments.keys()
    marks = test_a_network_has_exactly_its_parameters_and_ten_logits.pytestmark  # type: ignore[attr-defined]
    assert {row[0] for row in marks[0].args[1]} >= shown


def test_simplecnn_has_the_flops_of_its_report() -> None:
    experiment = PARAMS.experiments["cifar10_simplecnn"]
    summary = summarise(network(experiment), experiment.input_shape)
    macs = {
        kind: sum(layer.macs for layer in summary.layers if layer.kind == kind)
        for kind in ("Conv2dSame", "Linear")
    }
    assert macs == {"Conv2dSame": 10_321_920, "Linear": 20_480}
    assert 4 * sum(layer.normalised for layer in summary.layers) == 229_376
    assert summary.report_flops == 10_571_776
    assert summary.flops == 2 * (10_321_920 + 20_480)


def test_resnet18_has_the_memory_that_its_report_prints() -> None:
    experiment = PARAMS.experiments["cifar10_resnet18"]
    sizes = torchsummary(summarise(network(experiment), experiment.input_shape))
    assert {what: round(size / 2**20, 2) for what, size in sizes.items()} == {
        "input": 0.01,
        "forward and backward": 13.63,
        "parameters": 42.63,
        "in all": 56.27,
    }


def test_r3s_network_flattens_to_6272() -> None:
    assert shapes(PARAMS.experiments["mnist_2x2"])["flatten"] == (6272,)


def test_r3_strides_the_first_two_convolutions_only() -> None:
    found = shapes(TRIALS["cifar10_grey_kernel_stride/kernel_5_stride_2"])
    sizes = [found[f"block{block}_conv{number}"][1] for block in (1, 2, 3) for number in (1, 2)]
    assert sizes == [16, 8, 4, 4, 2, 2]


def test_r4_goes_from_32_maps_of_28_to_128_maps_of_4() -> None:
    found = shapes(PARAMS.experiments["fashion_preact"])
    assert found["stem_conv"] == (32, 28, 28)
    blocks = [found[f"stage{stage}_block{block}.conv2"] for stage in (1, 2, 3) for block in (1, 2)]
    assert blocks == [(64, 14, 14)] * 2 + [(128, 7, 7)] * 2 + [(128, 4, 4)] * 2
    assert found["pool"] == (128, 1, 1)


def test_resnet18_halves_its_maps_three_times() -> None:
    found = shapes(PARAMS.experiments["cifar10_resnet18"])
    assert found["stem_conv"] == found["stage1_block2.activation2"] == (64, 32, 32)
    ends = [found[f"stage{stage}_block2.activation2"] for stage in (2, 3, 4)]
    assert ends == [(128, 16, 16), (256, 8, 8), (512, 4, 4)]


@pytest.mark.parametrize("name", [name for name in TRIALS if "best" not in name and "resnet" not in name])
def test_the_network_of_every_trial_can_be_built(name: str) -> None:
    assert list(shapes(TRIALS[name]).values())[-1] == (10,)


# ------------------------------------------------------------------------------------------- what is counted


@pytest.mark.parametrize("name", SMALL)
def test_flops_are_those_that_pytorch_counts(name: str) -> None:
    experiment = PARAMS.experiments[name]
    model = network(experiment).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.zeros(1, *experiment.input_shape))
    assert summarise(model, experiment.input_shape).flops == counter.get_total_flops() > 0


@pytest.mark.parametrize("name", SMALL)
def test_the_activations_are_nearly_those_that_autograd_keeps(name: str) -> None:
    experiment = PARAMS.experiments[name]
    model = network(experiment)
    summary = summarise(model, experiment.input_shape)
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.is_floating_point() and storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.randn(4, *experiment.input_shape)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model.train()(images)
    assert logits.requires_grad
    assert summary.activation_bytes(4) == pytest.approx(sum(kept.values()), rel=0.1)


def test_a_batch_takes_its_images_times_the_memory_of_one() -> None:
    summary = summarise(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten()), [1, 4, 4])
    assert [layer.kept for layer in summary.layers] == [8, 0, 0]
    assert summary.activation_bytes() == 4 * (16 + 8)
    assert summary.activation_bytes(5) == 5 * summary.activation_bytes()
    assert summary.weight_bytes == 4 * (2 * 9 + 2)


def test_running_statistics_count_and_the_number_of_batches_does_not() -> None:
    summary = summarise(nn.Sequential(nn.BatchNorm2d(3)), [3, 2, 2])
    (layer,) = summary.layers
    assert (layer.parameters, layer.statistics, layer.normalised) == (6, 6, 12)
    assert (summary.trainable_parameters, summary.total_parameters) == (6, 12)


def test_layers_are_listed_in_the_order_in_which_they_run_without_identities() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Identity(), nn.Flatten(), nn.Linear(8, 3))
    assert [layer.name for layer in layers_of(model, [1, 4, 4])] == ["0", "2", "3"]


def test_listing_the_layers_leaves_no_hooks_and_changes_no_weights() -> None:
    experiment = PARAMS.experiments["fashion_preact"]
    model = network(experiment)
    before = [tensor.clone() for tensor in model.state_dict().values()]
    layers_of(model, experiment.input_shape)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))


# ------------------------------------------------------------------------------------------- convlab summary


def call(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["convlab", "summary", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.mark.parametrize("name", ["cifar10_simplecnn", "cifar10_grey", "fashion_preact"])
def test_every_layer_is_shown(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    status, out, _ = call(monkeypatch, capsys, name)
    assert status == 0
    assert all(layer in out for layer in shapes(PARAMS.experiments[name]))


def test_the_totals_are_shown_with_their_conventions(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    _, out, _ = call(monkeypatch, capsys, "cifar10_simplecnn")
    lines = [line for line in out.splitlines() if "FLOPs" in line]
    assert "2 per multiply-accumulate" in lines[0]
    assert "20,684,800" in lines[0]
    assert "R2" in lines[1]
    assert "10,571,776" in lines[1]
    assert all(text in out for text in ("128 × 4 × 4", "114,186", "114,634", "0.44 MiB", "a batch of 128"))


def test_a_trial_is_shown_and_drawn(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    trial = "mnist_2x2_kernel_stride/kernel_5_stride_3"
    status, out, _ = call(monkeypatch, capsys, trial, "--svg", str(path))
    assert status == 0
    assert "32 × 10 × 10" in out
    assert path.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mnist_vg"], ["found 'mnist_vg'", "did you mean `mnist_vgg`?"]),
        (["digits_l2"], ["found 'digits_l2'", "digits_l2/l2-0.0001"]),
        (["digits_l2/l2-7"], ["found 'digits_l2/l2-7'", "digits_l2/l2-0.0001"]),
        (["digits", "--svg", "drawing.png"], ["--svg: found 'drawing.png'", "ends in .svg"]),
        (["digits", "--svg", "new/drawing.svg"], ["--svg: found 'new/drawing.svg'", "create it first"]),
        (
            ["digits", "--svg", "README.md/drawing.svg"],
            ["--svg: found 'README.md/drawing.svg', whose folder does not exist"],
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(
    arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    status, _, err = call(monkeypatch, capsys, *arguments)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words)


def test_a_network_that_leaves_nothing_of_the_image_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    params = read_params(ROOT / "params.yaml")
    params["experiments"]["digits"]["model"]["strides"] = [4, 4]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setattr(files, "PARAMS", tmp_path / "params.yaml")
    status, _, err = call(monkeypatch, capsys, "digits")
    assert status == 2
    assert err == "convlab: digits: block 2 has a 1×1 map left, too small for its 2×2 pooling\n"
