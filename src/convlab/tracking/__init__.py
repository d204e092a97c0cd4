"""MLflow, mirrored from the files that the stages write. The files are the source of truth.

`records` reads what is known of each run, `descriptions` what is said about it; `store` opens MLflow,
`writer` puts runs there, `models` their networks; `registry` moves the champion, and `ui` shows it all;
`failures` says what went wrong. Mirroring twice changes nothing, and a failing MLflow costs a warning, never
a training.
"""

import sys
from collections.abc import Sequence

__all__ = ["mirror", "mirror_all"]


def mirror(name: str) -> bool:
    """Bring what the files say of an experiment or sweep into MLflow; what is there already stays.

    Never raise: whatever goes wrong is one warning line, and `make track` catches up later.

    Return whether MLflow now holds it.
    """
    return mirror_all([name]) == [name]


def mirror_all(names: Sequence[str], base: str = "HEAD", dvc_experiment: str | None = None) -> list[str]:
    """Mirror several, in one connection; return those that MLflow now holds. Never raise: a line for each
    that could not be mirrored, or one for all.

    `base`: the commit to which run names state the differences; `dvc_experiment`: whose results they are.
    """
    done: list[str] = []
    try:
        from convlab.tracking import descriptions, records, store, writer

        store.load_mlflow()  # first: without it, nothing needs to be read
        known = descriptions.load(base, dvc_experiment, names)
        with store.connected() as client:
            for name in names:
                try:
                    writer.put(client, records.read_run(name, known))
                    done.append(name)
                except Exception as error:  # one damaged result must not keep the others out
                    _warn(f"{name} is not", error)
    except ImportError:
        print("mlflow: not installed here; `make track` mirrors the results where it is", file=sys.stderr)
    except Exception as error:  # a tracker's trouble, of any kind, must not cost a training
        _warn(f"{names[0]} is not" if len(names) == 1 else f"none of {len(names)} results is", error)
    return done


def _warn(what: str, error: Exception) -> None:
    from convlab.tracking.failures import reason

    print(f"mlflow: {what} mirrored ({reason(error)}); `make track` catches up", file=sys.stderr)
