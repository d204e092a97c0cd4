"""The whitening layer against its definition, and in every family of networks."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from training import MODEL, Recipe, run, same

from convlab import files
from convlab.data.dataset import Prepared
from convlab.figures.drawing import drawing
from convlab.models.build import build_model, load_model
from convlab.models.summary import summarise
from convlab.models.weights import kernels_of
from convlab.models.whitening import Whitening, compute_whitening, patch_statistics
from convlab.pipeline.evaluate import evaluate
from convlab.pipeline.run import train

WHITENING = {"kernel": 2, "eps": 1.0e-8}
# Not 4 channels: on a processor with AVX2 alone oneDNN corrupts memory there (docs/pipeline.md)
RESNET = {"name": "resnet", "widths": [8, 16], "blocks": [1, 1], "activation": "relu"}
PREACT = {"name": "preact", "stem": 8, "widths": [8, 16], "activation": "silu"}


def pictures(count: int = 300, channels: int = 3, size: int = 9) -> torch.Tensor:
    """Images with correlated pixels, as photographs have them, on a scale of their own."""
    random = torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))
    return 5 + 3 * F.avg_pool2d(random, 3, 1, 1) + random[:, :1]


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_its_outputs_over_the_patches_have_covariance_1_and_mean_0(kernel: int, channels: int) -> None:
    images = pictures(channels=channels)
    layer = Whitening(channels, kernel, 1e-8)
    layer.compute(images)
    inside = F.conv2d(images, layer.weight, layer.bias)  # without padding: these are the patches
    half = channels * kernel**2
    seen = inside.transpose(0, 1).flatten(1)
    torch.testing.assert_close(seen[:half].cov(), torch.eye(half), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.mean(1), torch.zeros(2 * half), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[half:], -seen[:half])


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_the_size_of_the_image_stays(kernel: int) -> None:
    layer = Whitening(3, kernel, 1e-4)
    images = pictures(4)
    layer.compute(images)
    padding = (kernel - 1, kernel - 1)
    assert layer(images).shape == (4, 6 * kernel**2, 9, 9)
    start = padding[0] // 2
    inside = layer(images)[:, :, start : start + 10 - kernel, start : start + 10 - kernel]
    torch.testing.assert_close(inside, F.conv2d(images, layer.weight, layer.bias))


def test_eps_bounds_what_directions_without_variance_are_multiplied_by() -> None:
    layer = Whitening(1, 2, 0.25)
    layer.compute(torch.ones(10, 1, 4, 4))
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.full((8,), 2.0))  # 1 / √0.25


def test_the_statistics_are_those_of_all_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(50).double()
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
    monkeypatch.setattr("convlab.models.whitening.BATCH", 7)
    mean, covariance = patch_statistics(images, 2)
    torch.testing.assert_close(mean, patches.mean(0))
    torch.testing.assert_close(covariance, patches.T.cov(correction=0))


@pytest.mark.parametrize("model", [MODEL, RESNET, PREACT], ids=lambda model: model["name"])
def test_it_goes_before_every_family_and_is_not_trained(
    recipe: Recipe, digits: Prepared, model: dict[str, Any]
) -> None:
    plain = recipe(model=model)
    white = recipe(model={**model, "whitening": WHITENING}, l2=0.01, weight_decay=0.01, epochs=1)
    before, after = (summarise(build_model(one, [1, 8, 8], 10), [1, 8, 8]) for one in (plain, white))
    names = [layer.name for layer in after.layers]
    assert names == ["whitening", f"whitening_{model['activation']}", *(one.name for one in before.layers)]
    assert after.layers[0].output_shape == (8, 8, 8)
    assert (after.layers[0].parameters, after.layers[0].statistics) == (0, 8 * 4 + 8)
    assert after.layers[0].macs == 64 * 8 * 4
    # the next convolution alone has more inputs: 8 in place of 1
    first = kernels_of(build_model(plain, [1, 8, 8], 10))[0]
    assert after.trainable_parameters == before.trainable_parameters + 7 * first.numel()
    assert after.total_parameters - before.total_parameters == 7 * first.numel() + 40

    trained, _ = run(white, digits)
    begun = build_model(white, [1, 8, 8], 10)
    compute_whitening(begun, digits.train.images, digits.statistics.transform())
    assert torch.equal(trained.whitening.weight, begun.whitening.weight)  # type: ignore[union-attr,arg-type]
    assert not torch.equal(kernels_of(trained)[0], kernels_of(begun)[0])


def test_it_is_computed_from_the_training_images_before_training_and_saved_with_the_weights(
    recipe: Recipe, digits: Prepared, prepared: Path, tmp_path: Path
) -> None:
    white = recipe({"model.whitening": WHITENING}, epochs=1)
    folder = prepared / white.data_key()
    done, again = (train("white", white, folder) for _ in range(2))
    assert same(done.model, again.model)
    expected = build_model(white, [1, 8, 8], 10)
    compute_whitening(expected, digits.train.images, digits.statistics.transform())
    assert torch.equal(done.model.whitening.weight, expected.whitening.weight)  # type: ignore[union-attr,arg-type]
    files.write_tensors(tmp_path / "model.safetensors", done.model.state_dict())
    loaded = load_model(white, digits.statistics, tmp_path / "model.safetensors")
    assert same(loaded, done.model)
    scores = evaluate(loaded, white, folder).scores
    assert scores["validation"]["accuracy"] == done.results["validation_accuracy"]


def test_it_can_be_drawn(recipe: Recipe) -> None:
    model = build_model(recipe({"model.whitening": WHITENING}), [1, 8, 8], 10)
    texts = [text.get_text() for text in drawing("white", model, [1, 8, 8]).axes[0].texts]
    plt.close("all")
    assert {"whitening", "conv 2×2"} <= set(texts)
