"""GPUs and threads of the jobs that run side by side."""

import pytest

from charlab.cores import num_cores
from charlab.errors import UsageError
from charlab.sweeps import share
from charlab.sweeps.share import Shares, visible_gpus

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc)
  MIG 1g.5gb      Device  1: (UUID: MIG-dddd)
"""


def config(devices=1, accelerator="auto"):
    return {"trainer": {"devices": devices, "accelerator": accelerator}}


def program(tmp_path, monkeypatch, text):
    """nvidia-smi is a program that prints the text, or none at all."""
    path = tmp_path / "nvidia-smi"
    if text is not None:
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        path.chmod(0o755)
    monkeypatch.setattr(share, "LIST_GPUS", (str(path), "-L"))


def test_the_gpus_that_nvidia_smi_lists(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, LISTED)
    assert visible_gpus({}) == ["0", "MIG-cccc", "MIG-dddd"]
    program(tmp_path, monkeypatch, "No devices were found\n")
    assert visible_gpus({}) == []


def test_a_machine_without_nvidia_smi(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, None)
    assert visible_gpus({}) == []


@pytest.mark.parametrize(
    ("value", "gpus"),
    [("2,5", ["2", "5"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), (" GPU-a , 3", ["GPU-a", "3"])],
)
def test_the_gpus_that_the_environment_names(value, gpus, tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, LISTED)
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": value}) == gpus


def test_each_job_gets_gpus_of_its_own_until_none_is_free():
    shares = Shares(2, 2, ["0", "1", "2", "3"], {})
    first, second = shares.take(config()), shares.take(config())
    assert (first, second) == (("0", "1"), ("2", "3"))
    assert shares.take(config()) is None
    shares.give_back(first)
    assert shares.take(config()) == first
    assert shares.environment(config(), first)["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_more_workers_than_gpus_share_them_evenly():
    shares = Shares(5, 1, ["a", "b"], {})
    taken = [shares.take(config()) for _ in range(6)]
    assert sorted(taken) == [("a",)] * 3 + [("b",)] * 3
    assert shares.take(config()) is None
    assert "up to 3 jobs on a GPU" in shares.words


def test_a_job_of_several_devices_waits_for_as_many_gpus():
    shares = Shares(3, 1, ["0", "1", "2"], {})
    one = shares.take(config())
    assert shares.take(config(devices=3)) is None
    shares.give_back(one)
    assert shares.take(config(devices=3)) == ("0", "1", "2")
    assert shares.take(config()) is None
    # a job that asks for more than there are fails by itself, and says why
    shares.give_back(("0", "1", "2"))
    assert shares.take(config(devices=8)) == ("0", "1", "2")


def test_a_job_on_the_cpu_takes_no_gpu():
    shares = Shares(1, 1, ["0"], {})
    assert shares.take(config(accelerator="cpu")) == ()
    assert shares.take(config()) == ("0",)
    assert "CUDA_VISIBLE_DEVICES" not in shares.environment(config(accelerator="cpu"), ())


def test_without_gpus_nothing_is_asked_for():
    shares = Shares(2, 4, [], {})
    assert shares.take(config(devices=2)) == ()
    assert "CUDA_VISIBLE_DEVICES" not in shares.environment(config(), ())


def test_more_gpus_for_a_job_than_there_are():
    with pytest.raises(UsageError, match="8 GPUs for each job are more than there are"):
        Shares(1, 8, ["0", "1"], {})


def test_threads_are_divided_among_workers_and_devices(monkeypatch):
    monkeypatch.setattr(share, "num_cores", lambda: 16)
    assert Shares(1, 1, [], {}).environment(config(), ()) == {}
    assert Shares(4, 1, [], {}).environment(config(), ()) == {"OMP_NUM_THREADS": "4"}
    assert Shares(2, 1, [], {}).environment(config(2), ()) == {"OMP_NUM_THREADS": "4"}
    assert Shares(99, 1, [], {}).environment(config(), ()) == {"OMP_NUM_THREADS": "1"}
    # what the user has set stays
    assert Shares(4, 1, [], {"OMP_NUM_THREADS": "8"}).environment(config(), ()) == {}


def test_cores_are_those_of_this_process():
    assert num_cores() >= 1
