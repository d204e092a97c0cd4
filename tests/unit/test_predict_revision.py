"""`convlab predict --model NAME@REV`: a network as it was at a git revision."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from predicting import spoil

from convlab import files
from convlab.errors import InputError
from convlab.models.weights import hash_weights
from convlab.networks import champions
from convlab.networks.trained import load_trained
from convlab.pipeline import kept

pytest_plugins = ["predicting"]
pytestmark = pytest.mark.usefixtures("here")


def commit(*paths: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "add", *paths], check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "a commit"], check=True)


@pytest.fixture
def revised(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Commit what was trained, its weights in DVC's cache, which has a relative path, and remove it; return
    the hash of the weights. Of the programs, git alone is on the PATH."""
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*kept.DVC, "init", "-q"], check=True)
    subprocess.run([*kept.DVC, "config", "cache.dir", "../store"], check=True)
    (record,) = files.read_json(files.trainings("digits"))
    weights = files.weights("digits", record["seed"])

    def stored(content: bytes, suffix: str = "") -> str:
        md5 = hashlib.md5(content).hexdigest() + suffix
        files.write_bytes(tmp_path / "store/files/md5" / md5[:2] / md5[2:], content)
        return md5

    listing = [{"md5": stored(weights.read_bytes()), "relpath": weights.name}]
    out = {"path": "data/models/digits", "md5": stored(json.dumps(listing).encode(), ".dir")}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"train@digits": {"outs": [out]}}}))
    commit("params.yaml", "metrics", "plots", "dvc.lock")
    shutil.rmtree("metrics")
    shutil.rmtree("data")
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return str(record["weights"])


def test_a_network_of_a_revision_has_its_weights_from_dvcs_cache(revised: str) -> None:
    trained = load_trained("digits@HEAD")
    assert trained.says().startswith("digits@HEAD, trained on digits, validation accuracy ")
    assert hash_weights(trained.model) == revised
    assert not Path("data").exists()
    with pytest.raises(InputError, match="--keep: found digits@HEAD, of another revision"):
        champions.keep(trained.result, revised, trained.model.state_dict(), trained.statistics)


def test_a_network_of_a_revision_has_its_weights_from_git(revised: str) -> None:
    trained = load_trained("digits@HEAD")
    champions.keep("digits", revised, trained.model.state_dict(), trained.statistics)
    commit("champions")
    shutil.rmtree("champions")
    shutil.rmtree("../store")
    assert hash_weights(load_trained("digits@HEAD").model) == revised


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("digits@nowhere", "found 'nowhere' after the @; allowed: a branch, tag, commit or DVC experiment"),
        ("digits@--all", "found '--all' after the @"),
        ("digit@HEAD", "--model: found 'digit', which has not run at HEAD"),
        ("digits/one@HEAD", "digits is an experiment and has no trials"),
        ("digits@HEAD", "digits@HEAD: its weights are neither in champions/ there nor in DVC's cache"),
    ],
)
@pytest.mark.usefixtures("revised")
def test_a_revision_without_the_network_is_one_line(
    one_line: Callable[..., str], name: str, says: str
) -> None:
    shutil.rmtree("../store")
    assert says in one_line("predict", "pictures/00.png", "--model", name)


def test_a_revision_whose_parts_do_not_belong_together_is_told(
    one_line: Callable[..., str], revised: str
) -> None:
    subprocess.run(["git", "checkout", "-q", "metrics"], check=True)
    spoil()
    commit("metrics")
    assert (
        "digits@HEAD: metrics/digits/train.json does not match trainings.json; another revision may have"
    ) in one_line("predict", "pictures", "--model", "digits@HEAD")
    assert hash_weights(load_trained("digits@HEAD~").model) == revised
