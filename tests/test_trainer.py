"""The Trainer and its process: which devices, whose signals, how many threads."""

import signal

import pytest
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from charlab.config.schema import TrainerConfig
from charlab.errors import UsageError
from charlab.trainer import accelerator_of, build_trainer, check_devices


def with_gpus(monkeypatch, number):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize(
    ("asked", "devices", "gpus", "meant"),
    [
        ("auto", 1, 0, "auto"),
        ("auto", 1, 4, "auto"),
        ("auto", 2, 0, "cpu"),
        ("auto", 2, 1, "gpu"),
        ("cpu", 2, 4, "cpu"),
        ("gpu", 1, 0, "gpu"),
    ],
)
def test_processes_are_all_on_gpus_or_all_on_the_cpu(monkeypatch, asked, devices, gpus, meant):
    with_gpus(monkeypatch, gpus)
    assert accelerator_of(TrainerConfig(accelerator=asked, devices=devices)) == meant


@pytest.mark.parametrize(
    ("asked", "devices", "gpus", "option"),
    [
        ("gpu", 1, 0, "trainer.accelerator"),
        ("gpu", 4, 2, "trainer.accelerator"),
        ("auto", 4, 2, "trainer.devices"),
    ],
)
def test_gpus_that_are_not_there(monkeypatch, asked, devices, gpus, option):
    with_gpus(monkeypatch, gpus)
    config = TrainerConfig(accelerator=asked, devices=devices)
    with pytest.raises(UsageError, match=f"trainer.devices={devices} cannot run here") as caught:
        check_devices(config)
    assert caught.value.option == option
    assert (caught.value.expected, caught.value.got) == (f"{devices} CUDA device(s)", str(gpus))


def test_devices_that_are_there(monkeypatch):
    for gpus, asked in ((0, "auto"), (2, "auto"), (2, "gpu"), (2, "cpu")):
        with_gpus(monkeypatch, gpus)
        check_devices(TrainerConfig(accelerator=asked, devices=2))


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
def test_slurm_and_its_signals_are_left_alone(tmp_path, monkeypatch):
    for name, value in {
        "SLURM_NTASKS": "2",
        "SLURM_JOB_NAME": "train",
        "SLURM_PROCID": "1",
    }.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    trainer = build_trainer(TrainerConfig(accelerator="cpu"), tmp_path, 1, [], [])
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
    assert isinstance(trainer.strategy, SingleDeviceStrategy)
    trainer._signal_connector.register_signal_handlers()
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_taken_from_lightning_is_still_there():
    """Else a rank would wait for a broadcast before each step again, and nobody would notice."""
    assert callable(_TrainingEpochLoop._broadcast_sigterm_tensor)
    assert callable(_SignalConnector.register_signal_handlers)
