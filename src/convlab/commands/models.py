"""Networks one by one: their layers, their predictions, their files; and the import of your own data."""

from pathlib import Path

from convlab import files
from convlab.commands.console import wide_console
from convlab.config import load_declared, load_params
from convlab.errors import InputError


def summary(experiment: str, svg: Path | None) -> int:
    """Show a network layer by layer: shapes, parameters, operations, memory; it needs no data."""
    from convlab.networks.describe import describe

    describe(load_params(files.PARAMS), experiment, svg, wide_console())
    return 0


def predict(
    images: list[Path], model: str | None, explain: Path | None, as_json: bool, csv: Path | None
) -> int:
    """Classify pictures with a trained network: PNG, JPEG and others, of any size."""
    from convlab.networks.predict import command

    command(images, model, explain, as_json, csv)
    return 0


def export(model: str, onnx: Path | None, keep: bool) -> int:
    """Write a trained network as an ONNX file, raw pixels in, logits out; or put its weights into git."""
    from convlab.models.weights import hash_weights
    from convlab.networks import champions, onnx_model
    from convlab.networks.trained import load_trained

    if onnx is not None and onnx.suffix != ".onnx":
        raise InputError(f"--onnx: found {str(onnx)!r}; allowed: a file whose name ends in .onnx")
    trained = load_trained(model)
    if onnx is None:
        tensors, weights = trained.model.state_dict(), hash_weights(trained.model)
        kept = champions.keep(trained.result, weights, tensors, trained.statistics)
        size = f"{kept.stat().st_size / 1e6:.1f} MB"
        print(f"{kept}: {trained.says()}; {size}; dvc.yaml may list it as an artifact")
        return 0
    count = onnx_model.export(trained, onnx)
    shape = " × ".join(map(str, trained.dataset.shape))
    classes = len(trained.statistics.classes)
    print(f"{onnx}: {trained.says()}; {count / 2**20:.2f} MiB, opset {onnx_model.OPSET}")
    print(f"  {onnx_model.INPUT}: uint8, N × {shape}, from 0 to {trained.dataset.max_value}, unscaled")
    print(f"  {onnx_model.OUTPUT}: float32, N × {classes}")
    return 0


def import_(name: str) -> int:
    """Import your own images as a data set, as params.yaml declares it under `datasets`."""
    from convlab.own.importing import import_images

    import_images(load_declared(files.PARAMS), name, wide_console())
    return 0
