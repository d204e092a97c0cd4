"""`convlab ui`: a port that is taken, and MLflow's server for real."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from mirrored import put
from repository import ROOT

from convlab.tracking import ui

COMMAND = (sys.executable, "-m", "convlab.cli", "ui")


def environment() -> dict[str, str]:
    """Return variables with a PATH that leads to no `mlflow`."""
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": os.defpath}


def test_a_taken_port_is_one_line_at_once_that_names_another(tmp_path):
    with socket.socket() as other:
        other.bind((ui.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)], cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
    assert done.returncode == 2
    assert f"port {port}: another program listens there; name a free one: `convlab ui --port" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["0", "70000", "five", "-1"])
def test_a_port_that_is_none_is_refused(convlab, port):
    status, _, errors = convlab("ui", f"--port={port}")
    assert status == 2
    assert f"found '{port}'; allowed: a number from 1 to 65535" in errors
    assert len(errors.splitlines()) == 1


def test_each_data_set_has_an_address_of_its_own(mirror, recipe, capsys):
    put(recipe)
    mirror("one")
    ui.print_views("http://there")
    assert capsys.readouterr().out.splitlines() == [
        "digits  http://there/#/experiments/1/runs?viewStateShareKey=convlab&workflowType=machine_learning",
        "models  http://there/#/models",
    ]


def test_a_server_that_is_away_is_one_line(convlab, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    status, _, errors = convlab("ui")
    assert status == 2
    assert "ui: http://127.0.0.1:9 does not answer (" in errors
    assert "secret" not in errors


def test_without_mlflow_it_says_what_installs_it(convlab, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ui.store, "connected", raising_import_error)
    status, _, errors = convlab("ui")
    assert status == 2
    assert "mlflow: not installed here" in errors


def raising_import_error() -> None:
    raise ModuleNotFoundError("No module named 'mlflow'")


@pytest.mark.campaign  # MLflow's server takes many seconds to start
def test_it_shows_a_result_though_another_cannot_be_mirrored(mirror, recipe, tmp_path):
    put(recipe)
    put(recipe, "damaged")
    (tmp_path / "metrics/damaged/trainings.json").write_text("{")
    with socket.socket() as free:
        free.bind((ui.HOST, 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [*COMMAND, "--port", str(port)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said = []
        assert server.stdout
        for line in server.stdout:  # ends where the server does
            said.append(line)
            if "running on" in line:  # said once the port is bound, which "startup complete" is not
                break
        text = "".join(said)
        assert "mlflow: damaged is not mirrored" in text
        address = re.search(r"^digits +(http://\S+)$", text, re.M)
        assert address, text
        assert f":{port}/#/experiments/1/runs?viewStateShareKey=convlab" in address[1]
        with urllib.request.urlopen(address[1]) as page:
            assert page.status == 200
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
