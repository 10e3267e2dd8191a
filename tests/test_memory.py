"""Memory that is not there: told before training where it can be, and in one message later."""

import errno
import json
import sys
from pathlib import Path

import pytest
import torch

from charlab import memory
from charlab.config.schema import Config, ModelConfig
from charlab.errors import OutOfMemory, UsageError
from charlab.lit import CharLitModule
from charlab.memory import check_fits, memory_bytes

from .running import train

F32, F64 = torch.float32, torch.float64


def config_of(devices=1, **model):
    config = Config(model=ModelConfig(cell="gru", **model))
    config.trainer.devices = devices
    return config


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says it on Linux alone")
def test_main_memory_is_that_of_the_system():
    told = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in told if line.startswith("MemTotal:"))
    assert memory_bytes() == int(line.split()[1]) * 1024


@pytest.mark.parametrize(("devices", "dtype", "most"), [(1, F32, 100), (2, F32, 50), (1, F64, 50)])
def test_a_model_fits_or_does_not(monkeypatch, devices, dtype, most):
    """A parameter is kept four times: itself, its gradient, and two means of Adam's."""
    monkeypatch.setattr(memory, "memory_bytes", lambda: 1600)
    config = config_of(devices, hidden_size=7)
    check_fits(most, config, "cpu", dtype)
    with pytest.raises(UsageError) as caught:
        check_fits(most + 1, config, "cpu", dtype)
    assert caught.value.option == "model.hidden_size"
    assert f"at most {most} parameters" in caught.value.expected
    sizes = "model.hidden_size=7 model.embedding_size=32 model.num_layers=1: "
    assert caught.value.got.startswith(sizes)


def test_of_a_number_of_parameters_it_is_that_which_is_told(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 1600)
    with pytest.raises(UsageError) as caught:
        check_fits(1000, config_of(match_params=1000.0), "cpu", F32)
    assert caught.value.option == "model.match_params"
    assert caught.value.got.startswith("model.match_params=1000: ")
    check_fits(None, config_of(), "cpu", F32)


def test_on_a_gpu_it_is_its_memory_that_counts(monkeypatch):
    class Device:
        total_memory = 160

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Device)
    check_fits(10, config_of(4), "cuda", F32)
    with pytest.raises(UsageError, match="on a GPU"):
        check_fits(11, config_of(4), "cuda", F32)


def test_what_torch_raises_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    told = OutOfMemory.of(caught.value)
    assert told is not None
    assert told.got.startswith("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
    assert len(told.got.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "is_meant"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True),
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("a and b must have the same shape"), False),
        (RuntimeError("a step failed\nnot enough memory"), False),
        (ValueError("can't allocate memory"), False),
    ],
    ids=str,
)
def test_what_means_that_memory_has_run_out(error, is_meant):
    told = OutOfMemory.of(error)
    assert (told is not None) == is_meant
    assert told is None or (told.got and told.exit_code == 1)


def test_too_large_a_model_is_refused_before_a_run_is_made(tmp_path, capsys):
    exit_code, run = train(tmp_path, "model.hidden_size=1000000")
    assert (exit_code, run) == (2, None)
    told = capsys.readouterr().err
    assert "parameters does not fit into memory" in told
    assert "got       model.hidden_size=1000000 model.embedding_size=" in told


def test_memory_that_runs_out_fails_the_run_with_one_message(tmp_path, capsys, monkeypatch):
    def step(self, batch, batch_idx):
        torch.empty(2**55)

    monkeypatch.setattr(CharLitModule, "training_step", step)
    exit_code, run = train(tmp_path, "trainer.max_steps=10")
    assert exit_code == 1
    told = capsys.readouterr().err
    assert "error: out of memory\n" in told
    assert "try       a smaller data.batch_size" in told
    assert "Traceback" not in told
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"].startswith("OutOfMemory: out of memory")


def test_memory_that_runs_out_before_the_run_is_told_too(tmp_path, capsys, monkeypatch):
    def build(*_):
        torch.empty(2**55)

    monkeypatch.setattr("charlab.model.build_model", build)
    assert train(tmp_path, "trainer.max_steps=10") == (1, None)
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory\n")
    assert "Traceback" not in told
