"""What a run keeps holds no secret of the person whose run it is."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .jobs import Job

KEY = "5ec2e7" * 6 + "beef"
SECRETS = {
    "WANDB_API_KEY": KEY,
    "HF_TOKEN": "hf_5ec2e7token",
    "AWS_SECRET_ACCESS_KEY": "5ec2e7access",
    "DATABASE_URL": "postgresql://me:5ec2e7word@host/db",
}


def files_with(folder, text):
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_no_file_of_a_run_has_a_secret_of_the_environment_or_of_git(tmp_path):
    """Nor what it prints. A repository may have a token in the address of its origin."""
    remote = "https://me:5ec2e7git@example.org/me/project.git"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", remote], check=True)
    home = {"HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "netrc")}
    job = Job(tmp_path, "logger.wandb.mode=offline", **home, **SECRETS)
    code, out, err = job.end()
    assert code == 0, err
    assert "5ec2e7" not in out + err
    (wandb_file,) = job.run.glob("wandb/offline-run-*/run-*.wandb")
    # what is looked for would be found
    assert b"hidden_size" in wandb_file.read_bytes()
    assert files_with(job.run, "hidden_size")
    assert files_with(job.run, "5ec2e7") == []


def sockets_of(pid):
    """Numbers of the sockets that a process has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found


def listening():
    """Number of each socket that listens on a port -> its address, in hexadecimal digits."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[9]: row[1] for row in rows if row[3] == "0A"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_listens_on_no_port(tmp_path):
    job = Job(tmp_path, "trainer.max_steps=3000", "logger.wandb.mode=offline")
    job.wait_until_it_trains()
    with socket.create_server(("127.0.0.1", 0)):
        own, of_run = sockets_of(os.getpid()), set()
        for pid in job.running():
            of_run |= sockets_of(pid)
        ports = listening()
    job.process.terminate()
    assert job.end()[0] == 130
    assert own & ports.keys()  # what is looked for would be found
    assert {ports[number] for number in of_run & ports.keys()} == set()
