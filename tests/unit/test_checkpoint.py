import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from convlab.interrupt import Interrupted, Request, deferred
from convlab.train.checkpoint import Checkpoints
from robustness.fuzz_readers import Part


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", Request())


def save(checkpoints: Checkpoints, epoch: int, step: int, state: Any) -> None:
    checkpoints.save(epoch, step, {"part": Part(state)})


def load(checkpoints: Checkpoints) -> Any:
    part = Part()
    checkpoints.restore({"part": part})
    return part.state


def files_of(checkpoints: Checkpoints) -> list[Path]:
    return sorted(checkpoints.folder.iterdir())


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype and one.stride() == other.stride()
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        pairs = zip(one, other, strict=True)
        return type(one) is type(other) and all(equal(*pair) for pair in pairs)
    return one == other and type(one) is type(other)


def test_one_of_another_kind_of_device_is_not_used(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GPU's random state is no state of a CPU's; `meta` stands for a GPU."""
    on_gpu = {"model": Part({"w": torch.ones(2, device="meta")}), "part": Part(1)}
    checkpoints.save(2, 0, {"model": Part({"w": torch.ones(2)}), "part": Part(1)})
    assert checkpoints.restore(on_gpu) == 1
    told = "is not used: this training runs on meta in fp32, and starts anew"
    assert told in capsys.readouterr().err
    assert checkpoints.restore({"model": Part({"w": torch.ones(2)}), "part": Part()}) == 2


def test_one_of_another_precision_is_not_used(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    """A processor without bf16 starts anew: its result says fp32, and all of it has to be."""
    checkpoints.computed_on("EPYC", "bf16")
    save(checkpoints, 30, 0, "in bf16")
    checkpoints.computed_on("Xeon", "fp32")
    assert load(checkpoints) is None
    told = "is not used: this training runs on cpu in fp32, and starts anew"
    assert told in capsys.readouterr().err
    save(checkpoints, 2, 0, "in fp32")
    assert load(checkpoints) == "in fp32"
    checkpoints.computed_on("EPYC", "bf16")
    assert load(checkpoints) == "in bf16"  # back where it came from


def test_what_it_ran_on_is_known_however_often_it_moves(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    moves = (
        ("EPYC", ["EPYC"], ""),
        ("Xeon", ["EPYC", "Xeon"], "; until here it ran on EPYC"),
        ("Xeon", ["EPYC", "Xeon"], "; until here it ran on EPYC, then Xeon"),
        ("EPYC", ["EPYC", "Xeon", "EPYC"], "; until here it ran on EPYC, then Xeon"),
    )
    checkpoints.computed_on("EPYC", "fp32")
    save(checkpoints, 1, 0, 1)
    for epoch, (hardware, known, told) in enumerate(moves, start=1):
        checkpoints.computed_on(hardware, "fp32")
        load(checkpoints)
        assert checkpoints.hardware == known
        assert capsys.readouterr().out == f"training: resuming at epoch {epoch}, step 0{told}\n"
        save(checkpoints, epoch + 1, 0, epoch)


def test_those_of_one_kind_of_device_stay_beside_higher_ones_of_another(checkpoints: Checkpoints) -> None:
    """A training that starts again on a CPU keeps its own, though a GPU's had come further."""
    for epoch in (30, 31):
        checkpoints.save(epoch, 0, {"part": Part(epoch)})
    for path in files_of(checkpoints):
        path.rename(path.with_name(path.name.replace("-cpu-", "-cuda-")))
    for epoch in (2, 3, 4):
        save(checkpoints, epoch, 0, epoch)
    assert [path.name[:6] for path in files_of(checkpoints)] == ["000003", "000004", "000030", "000031"]
    assert load(checkpoints) == 4


def test_damaged_ones_do_not_outlive_those_of_a_new_beginning(checkpoints: Checkpoints) -> None:
    for epoch in (30, 31):
        save(checkpoints, epoch, 0, epoch)
    for path in files_of(checkpoints):
        path.write_bytes(path.read_bytes()[:-1])
    assert load(checkpoints) is None
    save(checkpoints, 2, 0, 2)
    assert load(checkpoints) == 2


def test_a_long_state_makes_no_long_header(checkpoints: Checkpoints) -> None:
    """A safetensors header has at most 100 MB, and a row of each step is part of the state."""
    rows = [{"loss": number / 7, "accuracy": number / 11} for number in range(10_000)]
    save(checkpoints, 1, 1, rows)
    (path,) = files_of(checkpoints)
    assert int.from_bytes(path.read_bytes()[:8], "little") < 1000
    assert load(checkpoints) == rows


STATE: dict[str, Any] = {
    "optimizer": {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 3)}},
        "groups": [{"lr": 0.1}],
    },
    "kernels": torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last),
    "view": torch.arange(12).view(3, 4)[:, 1:3],
    "random": torch.get_rng_state(),
    "host": {"bit_generator": "PCG64", "state": {"state": 2**127 + 1, "inc": 5}, "has_uint32": 0},
    "best": (-math.inf, 0.1 + 0.2, None, True, "ein Wort"),
    "empty": {"list": [], "dict": {}, "tuple": (), "tensor": torch.empty(0, 2)},
}


def test_a_state_comes_back_with_all_its_types_and_memory_orders(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1, 5, STATE)
    found = load(checkpoints)
    assert found is not None
    assert found["view"].equal(STATE["view"])
    assert equal({**found, "view": None}, {**STATE, "view": None})


def test_one_tensor_at_two_places_comes_back_at_both(checkpoints: Checkpoints) -> None:
    shared = torch.randn(4)
    save(checkpoints, 1, 0, {"a": shared, "b": shared})
    assert equal(load(checkpoints), {"a": shared, "b": shared})


def test_there_is_none_to_begin_with(checkpoints: Checkpoints) -> None:
    part = Part("as it was")
    assert checkpoints.restore({"part": part}) == 1
    checkpoints.restore_within(1, {"part": part})
    assert part.state == "as it was"


def test_an_epochs_own_parts_come_back_in_that_epoch_alone(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.save(4, 9, {"part": Part("all"), "own": Part("epoch 4")})
    part, own = Part(), Part("fresh")
    assert checkpoints.restore({"part": part}) == 4
    assert capsys.readouterr().out == "training: resuming at epoch 4, step 9\n"
    checkpoints.restore_within(4, {"own": own})
    assert (part.state, own.state) == ("all", "epoch 4")
    checkpoints.restore_within(5, {"own": Part()})


def test_the_newest_is_loaded_and_two_are_kept(checkpoints: Checkpoints) -> None:
    for epoch, step in ((9, 3), (10, 0), (10, 20), (10, 100)):
        save(checkpoints, epoch, step, {"at": [epoch, step]})
    assert len(files_of(checkpoints)) == 2
    assert load(checkpoints) == {"at": [10, 100]}


@pytest.mark.parametrize("damage", ["a bit", "the end", "all"])
def test_a_damaged_one_is_detected_and_the_previous_one_is_used(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    save(checkpoints, 1, 10, {"at": 10, "weights": torch.ones(100)})
    save(checkpoints, 1, 20, {"at": 20, "weights": torch.ones(100)})
    newest = files_of(checkpoints)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"a bit": content, "the end": content[:-7], "all": b""}[damage])
    found = load(checkpoints)
    assert found is not None
    assert found["at"] == 10
    assert capsys.readouterr().err == f"warning: {newest} is damaged; using the one before\n"


def test_with_all_of_them_damaged_there_is_none(checkpoints: Checkpoints) -> None:
    for step in (1, 2):
        save(checkpoints, 1, step, STATE)
    for path in files_of(checkpoints):
        path.write_bytes(b"?")
    assert load(checkpoints) is None


def test_an_interrupted_write_is_no_checkpoint(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1, 1, {"at": 1})
    (checkpoints.folder / ".000001-00000002-00.safetensors.x7").write_bytes(b"half")
    (checkpoints.folder / "notes.txt").write_text("mine")
    assert load(checkpoints) == {"at": 1}


def test_where_none_can_be_written_training_continues_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    checkpoints = Checkpoints(tmp_path / "taken/checkpoints", Request())
    save(checkpoints, 1, 1, {"at": 1})
    warning = f"warning: cannot write a checkpoint into {tmp_path}/taken/checkpoints: "
    assert capsys.readouterr().err.startswith(warning)


def test_one_is_due_after_the_interval_or_when_asked_to_end(tmp_path: Path) -> None:
    assert not Checkpoints(tmp_path, Request()).due()
    assert not Checkpoints(tmp_path, Request()).due(epoch_ended=True)
    assert Checkpoints(tmp_path, Request(), seconds=0).due()
    asked = Request()
    asked.number = signal.SIGTERM
    assert Checkpoints(tmp_path, asked).due()
    assert not Checkpoints(None, asked, seconds=0).due()  # nowhere to write it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_ends_the_training_at_the_next_checkpoint(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with deferred() as request:
        checkpoints = Checkpoints(tmp_path, request)
        save(checkpoints, 1, 1, {"at": 1})
        os.kill(os.getpid(), number)
        assert request.number == number
        with pytest.raises(Interrupted) as error:
            save(checkpoints, 2, 7, {"at": 2})
        assert str(error.value) == f"{number.name}: training stopped at epoch 2, step 7"
    assert load(checkpoints) == {"at": 2}
    assert signal.getsignal(number) == before


def test_a_second_signal_has_its_default_effect() -> None:
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored, where tests run in the background
    try:
        with deferred():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
