"""Commands that train: what has changed, what the tables and claims lack, what surpasses the headlines."""

from convlab.commands.console import wide_console


def repro() -> int:
    """Reproduce what has changed, as `dvc repro` does, but seconds faster per hundred experiments."""
    from convlab.pipeline.repro import repro

    return repro()


def campaign(names: list[str], plan: bool, seconds: int | None, seeds: int | None) -> int:
    """Train what the tables and claims lack, one after the other, at low priority; it may be interrupted."""
    from convlab.campaign.command import campaign

    return campaign(names, plan, seconds, seeds, wide_console())


def headlines(names: list[str]) -> int:
    """Train the networks that surpass every report's headline accuracy, on two cores; print a table."""
    from convlab.headlines.command import command

    return command(names, wide_console())
