"""The table of steps on a GPU: eager, as a CUDA graph, compiled, in fp32. Pure."""

from collections.abc import Mapping
from typing import Any

from convlab import markdown

VARIANTS = {
    "eager, bf16": "kernel by kernel",
    "graph, bf16": "one CUDA graph",
    "graph and torch.compile, bf16": "compiled, one graph",
    "graph, fp32 (TF32 convolutions)": "one graph, fp32 (TF32)",
}


def steps_table(results: Mapping[str, Any]) -> str:
    """Return the Markdown table of milliseconds per step, and a line on eight trainings in parallel."""
    lines = [markdown.row(["a step, ms", *VARIANTS.values()]), "| --- |" + " ---: |" * len(VARIANTS)]
    for name in results["graph, bf16"]:
        cells = [_cell(results[variant].get(name)) for variant in VARIANTS]
        lines.append(markdown.row([f"`{name}`", *cells]))
    at_once = results["mnist_vgg at once, milliseconds of a step each"]
    shares = [
        f"{label}: {sum(times) / len(times):.2f} ms a step each, {sum(times) / len(times) ** 2:.2f} in effect"
        for label, times in at_once.items()
    ]
    facts = f"{results['device']}, PyTorch {results['torch']}, {results['date']}; {results['what']}."
    together = f"R0's network, trainings at once: {'; '.join(shares)}."
    return "\n".join([*lines, "", facts, "", together, ""])


def _cell(found: Any) -> str:
    if found is None:
        return "–"
    return f"{found:.2f}" if isinstance(found, float) else f"{found['ms']:.2f}"
