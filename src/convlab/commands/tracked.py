"""MLflow: the mirror of all results, its pages, its champions."""


def track(experiments: bool) -> int:
    """Mirror every result into MLflow, without duplicates; exit status 1 if one cannot be mirrored."""
    from convlab.results.folders import finished
    from convlab.tracking import mirror_all
    from convlab.tracking.experiments import mirror_experiments
    from convlab.tracking.store import shown_uri

    names = finished()
    done = mirror_all(names)
    print(f"mlflow: {len(done)} of {len(names)} experiments and sweeps are in {shown_uri()}")
    kept, all_kept = mirror_experiments() if experiments else (0, 0)
    if experiments:
        print(f"mlflow: {kept} of {all_kept} DVC experiments are there")
    return 0 if (len(done), kept) == (len(names), all_kept) else 1


def ui(port: int) -> int:
    """Mirror every result, and serve MLflow's pages on this machine."""
    from convlab.tracking.ui import serve

    return serve(port)


def promote() -> int:
    """Register the best network of each data set as champion in MLflow."""
    from convlab.tracking.registry import promote

    return promote()
