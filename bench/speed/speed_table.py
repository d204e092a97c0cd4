"""Tables of the suite's results: every network and contender, and the short one of the README. Pure."""

import math
from collections.abc import Callable
from statistics import median
from typing import Any

from bench.speed.cases import BASELINE, CONTENDERS, NETWORKS, WITH_ALL, contenders_of
from convlab import markdown

SHORT = [
    contender for contender in CONTENDERS if not contender.endswith("_returning")
]  # what the README and the figure show
PACKAGES = {
    "python": "Python",
    "torch": "PyTorch",
    "lightning": "Lightning",
    "keras": "Keras",
    "tensorflow": "TensorFlow",
}
Results = dict[str, Any]


def values(results: Results, network: str, contender: str, quantity: str) -> list[float]:
    """Return a quantity of one network and contender, a number per round that measured it."""
    return [
        row[quantity]
        for row in results["measurements"]
        if (row["network"], row["way"]) == (network, contender)
    ]


def ratios(results: Results, network: str, contender: str) -> list[float]:
    """Return a contender's images/s divided by the plain loop's of the same round."""
    speeds = {
        (row["round"], row["way"]): row["images_per_second"]
        for row in results["measurements"]
        if row["network"] == network
    }
    rounds = sorted({number for number, _ in speeds})
    return [
        speeds[number, contender] / speeds[number, BASELINE]
        for number in rounds
        if (number, contender) in speeds and (number, BASELINE) in speeds
    ]


def share_of_roofline(results: Results, network: str, contender: str) -> float:
    """Return a contender's median speed as a share of the matrix-product peak in its precision.

    On a GPU, the plain loop's convolutions use TF32, whose peak is not measured: NaN.
    """
    if results["device"] == "cuda" and contender == BASELINE:
        return math.nan
    peak = max(peaks[CONTENDERS[contender].precision] for peaks in results["peaks"])
    speed = median(values(results, network, contender, "images_per_second"))
    return speed * results["networks"][network]["training_flops"] / peak


def full_table(results: Results) -> str:
    """Return the table of every network and contender, with its conditions above."""
    lines = [
        conditions(results),
        "",
        "| network | contender | images/s | ratio | share of the roofline | memory, MiB | start-up, s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for network in results["networks"]:
        name = f"{NETWORKS.get(network, network)}, batch {results['networks'][network]['batch_size']}"
        for contender in contenders_of(network, results["device"]):
            cells = [
                name if contender == BASELINE else "",
                CONTENDERS[contender].label,
                *_cells(results, network, contender),
            ]
            lines.append(markdown.row(cells))
    return "\n".join(lines) + "\n"


def short_table(results: Results) -> str:
    """Return the README's table: R0's network, speed and ratio; bench/README.md has all columns."""
    lines = [
        f"| R0's network, batch {results['networks'][WITH_ALL]['batch_size']} | images/s | ratio |",
        "| --- | ---: | ---: |",
    ]
    for contender in SHORT:
        cells = [CONTENDERS[contender].label, *_cells(results, WITH_ALL, contender)[:2]]
        lines.append(markdown.row(cells))
    return "\n".join([*lines, "", f"{results['device_name']}; {rounds_of(results)}.", ""])


def _cells(results: Results, network: str, contender: str) -> list[str]:
    """Return the cells of a row; of a contender that was not measured, the reason."""
    speeds = values(results, network, contender, "images_per_second")
    if not speeds:
        return [results["absent"].get(contender, "failed"), *["–"] * 4]
    return [
        spread(speeds, "{:,.0f}".format),
        "1" if contender == BASELINE else spread(ratios(results, network, contender), "{:.2f}".format),
        "–" if math.isnan(share := share_of_roofline(results, network, contender)) else f"{share:.0%}",
        f"{median(values(results, network, contender, 'peak_memory_mib')):,.0f}",
        f"{median(values(results, network, contender, 'start_up_seconds')):.1f}",
    ]


def spread(numbers: list[float], text: Callable[[float], str]) -> str:
    """Show a median with its range: `1,570 (1,540–1,601)`."""
    if len(numbers) < 2:
        return text(numbers[0]) if numbers else "–"
    return f"{text(median(numbers))} ({text(min(numbers))}–{text(max(numbers))})"


def conditions(results: Results) -> str:
    """Return the conditions: hardware, versions, number of rounds, and the roofline."""
    versions = ", ".join(f"{name} {results[key]}" for key, name in PACKAGES.items() if results[key])
    peaks = " and ".join(
        f"{max(peak[name] for peak in results['peaks']) / 1e9:,.0f} GFLOP/s in {name}"
        for name in results["peaks"][0]
    )
    return f"{results['device_name']}, {versions}; {rounds_of(results)}; large matrix products reach {peaks}."


def rounds_of(results: Results) -> str:
    """Return what the numbers of a table are: medians with their range, or single measurements."""
    rounds = results["rounds"]
    return f"medians (min–max) of {rounds} rounds" if rounds > 1 else "one round each"


def chart_rows(results: Results) -> dict[str, dict[str, list[float]]]:
    """Return the ratios to draw: network → contender → one per round."""
    return {
        NETWORKS.get(network, network): {
            CONTENDERS[contender].label: found
            for contender in SHORT
            if contender != BASELINE and (found := ratios(results, network, contender))
        }
        for network in results["networks"]
    }
