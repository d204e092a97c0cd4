"""What `convlab summary` prints: an experiment's network, layer by layer, and what it costs."""

from math import prod
from pathlib import Path

from rich.console import Console
from rich.table import Table

from convlab.config.explain import nearest, show
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.models.layers import InfeasibleGeometry
from convlab.models.summary import FLOAT32, Summary, summarise
from convlab.networks.feasible import check_network
from convlab.schema import Experiment, Params


def describe(params: Params, name: str, svg: Path | None, console: Console) -> None:
    """Print the network of an experiment, or of a sweep's trial as `sweep/trial`; draw it into a file.

    Raises:
        InputError: no such experiment, a network that leaves nothing of the image, or no file to draw into.
    """
    if svg is not None and svg.suffix != ".svg":
        raise InputError(f"--svg: found {show(str(svg))}; allowed: a file whose name ends in .svg")
    if svg is not None and not svg.parent.is_dir():
        raise InputError(f"--svg: found {str(svg)!r}, whose folder does not exist; create it first")
    experiment = _find(params, name)
    try:
        check_network(name, experiment)
        model = build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))
    except InfeasibleGeometry as error:
        raise InputError(f"{name}: {error}") from None
    summary = summarise(model, experiment.input_shape)
    console.print(_layer_table(name, summary))
    console.print(_totals(summary, experiment.batch_size))
    if svg is not None:
        from convlab.figures.drawing import drawing
        from convlab.figures.style import save, styled

        try:
            with styled():
                save(drawing(name, model, experiment.input_shape), svg)
        except OSError as error:
            raise InputError(f"--svg: {svg} cannot be written: {error.strerror}") from None
        console.print(f"drawn: {svg}", markup=False, highlight=False, soft_wrap=True)


def _find(params: Params, name: str) -> Experiment:
    known = dict(params.experiments)
    for sweep, content in params.sweeps.items():
        known |= {f"{sweep}/{trial.name}": trial.experiment for trial in content.trials}
    if name in known:
        return known[name]
    trials = [row for row in known if row.startswith(f"{name.partition('/')[0]}/")]
    raise InputError(
        f"EXPERIMENT: found {show(name)}{nearest(name, trials or [*params.experiments, *params.sweeps])}"
    )


def _layer_table(name: str, summary: Summary) -> Table:
    table = Table(title=name, title_justify="left")
    for column in ("layer", "kind", "output shape", "parameters", "multiply-accumulates"):
        table.add_column(column, justify="left" if column in ("layer", "kind") else "right")
    for row in layer_rows(summary):
        table.add_row(*row)
    return table


def layer_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return a network as rows of text: layer, kind, output shape, parameters, multiply-accumulates."""
    rows: list[tuple[str, ...]] = [("input", "", _shape(summary.input_shape), "", "")]
    for layer in summary.layers:
        parameters, macs = (f"{count:,}" if count else "–" for count in (layer.parameters, layer.macs))
        rows.append((layer.name, layer.kind, _shape(layer.output_shape), parameters, macs))
    return rows


def _totals(summary: Summary, batch_size: int) -> Table:
    """What the network costs: operations are of one image's forward pass, memory is in float32."""
    rows = {
        "trainable parameters": f"{summary.trainable_parameters:,}",
        "with running statistics": f"{summary.total_parameters:,}",
        "FLOPs, 2 per multiply-accumulate": f"{summary.flops:,}",
        "FLOPs as R2 counts: 1 per multiply-accumulate, 4 per normalised value": f"{summary.report_flops:,}",
        "memory of the weights": _size(summary.weight_bytes),
        "memory kept for the backward pass, one image (estimate)": _size(summary.activation_bytes()),
        f"the same, a batch of {batch_size}": _size(summary.activation_bytes(batch_size)),
        **{f"as torchsummary counts: {what}": _size(size) for what, size in torchsummary(summary).items()},
    }
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for title, value in rows.items():
        table.add_row(title, value)
    return table


def torchsummary(summary: Summary) -> dict[str, int]:
    """Return the bytes of one image as torchsummary counts them, which R2 printed: the output of every layer
    twice, forward and backward, whatever is done in place; the parameters without running statistics."""
    outputs = sum(prod(layer.output_shape) for layer in summary.layers)
    sizes = {
        "input": FLOAT32 * prod(summary.input_shape),
        "forward and backward": 2 * FLOAT32 * outputs,
        "parameters": FLOAT32 * summary.trainable_parameters,
    }
    return {**sizes, "in all": sum(sizes.values())}


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _size(count: int) -> str:
    return f"{count / 2**20:,.2f} MiB"
