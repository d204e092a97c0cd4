"""A network as an ONNX file says what PyTorch says."""

import pytest
import torch

from convlab.data.dataset import Statistics
from convlab.models.build import build_model

onnx = pytest.importorskip("onnx", reason="onnx is not installed: `pip install onnx onnxscript`")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: `pip install onnx onnxscript`")


@pytest.mark.parametrize(
    ("recipe_of", "statistics"),
    [
        ({}, Statistics(1 / 16, [0.3], [0.4], False, False, [1, 8, 8], list("0123456789"))),
        ({}, Statistics(1 / 16, [0.0], [1.0], False, True, [1, 8, 8], list("0123456789"))),
        ({}, Statistics(1 / 255, [0.4], [0.2], True, False, [1, 8, 8], list("0123456789"))),
    ],
    ids=["zscore_channel", "zscore_image", "greyscale"],
)
def test_the_logits_of_raw_pixels_are_those_of_pytorch(recipe, recipe_of, statistics):
    from onnx.reference import ReferenceEvaluator

    from convlab.export import to_onnx

    model = build_model(recipe(recipe_of), statistics.input_shape, 10).eval()
    content = to_onnx(model, statistics)
    channels = 3 if statistics.greyscale else 1
    pixels = torch.randint(0, 17, (1, channels, 8, 8), generator=torch.Generator().manual_seed(1))
    (found,) = ReferenceEvaluator(onnx.load_from_string(content)).run(
        None, {"pixels": pixels.float().numpy()}
    )
    with torch.no_grad():
        wanted = model(statistics.transform()(pixels))
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=1e-4, rtol=0)
