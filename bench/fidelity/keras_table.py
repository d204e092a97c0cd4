"""The table of parity_keras.py's results. Pure."""

from typing import Any

from convlab import markdown


def keras_table(results: dict[str, Any]) -> str:
    """Return the table: how far each quantity is from Keras', and why where that is too far."""
    rows = results["quantities"]
    lines = [
        f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}, Keras "
        f"{results['keras']}, TensorFlow {results['tensorflow']}, {results['started_at'][:10]}; "
        f"{sum(row['holds'] for row in rows)} of {len(rows)} hold.",
        "",
        "| quantity | compared on | largest difference | tolerance | holds |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        cells = [
            row["quantity"],
            row["on"],
            f"{row['largest']:.1e}" if row["largest"] else "0",
            f"{row['tolerance']:.0e}" if row["tolerance"] else "0",
            ("yes" if row["holds"] else "no") + (f": {row['reason']}" if row["reason"] else ""),
        ]
        lines.append(markdown.row(cells))
    return "\n".join(lines) + "\n"
