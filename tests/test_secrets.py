"""What a run keeps holds no secret of the person whose run it is."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

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


class Lived(NamedTuple):
    """own, of_run: the sockets of this process and of a run's while it trained; ports: of all."""

    run: Path
    printed: str
    own: set[str]
    of_run: set[str]
    ports: dict[str, str]


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A run with W&B offline, in a repository that has a token in the address of its origin."""
    folder = tmp_path_factory.mktemp("secrets")
    remote = "https://me:5ec2e7git@example.org/me/project.git"
    subprocess.run(["git", "init", "-q", folder], check=True)
    subprocess.run(["git", "-C", folder, "remote", "add", "origin", remote], check=True)
    home = {"HOME": str(folder / "home"), "NETRC": str(folder / "netrc")}
    long = ("trainer.max_steps=200", "trainer.val_every_n_steps=100", "trainer.max_epochs=null")
    job = Job(folder, "logger.wandb.mode=offline", *long, **home, **SECRETS)
    job.wait_until_it_trains()
    own, of_run, ports = set(), set(), {}
    if sys.platform == "linux":
        with socket.create_server(("127.0.0.1", 0)):
            own = sockets_of(os.getpid())
            for pid in job.running():
                of_run |= sockets_of(pid)
            ports = listening()
        assert job.process.poll() is None
    code, out, err = job.end()
    assert code == 0, err
    return Lived(job.run, out + err, own, of_run, ports)


def test_no_file_of_a_run_has_a_secret_of_the_environment_or_of_git(lived):
    """Nor what it prints."""
    assert "5ec2e7" not in lived.printed
    (wandb_file,) = lived.run.glob("wandb/offline-run-*/run-*.wandb")
    # what is looked for would be found
    assert b"hidden_size" in wandb_file.read_bytes()
    assert files_with(lived.run, "hidden_size")
    assert files_with(lived.run, "5ec2e7") == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_listens_on_no_port(lived):
    assert lived.own & lived.ports.keys()  # what is looked for would be found
    assert {lived.ports[number] for number in lived.of_run & lived.ports.keys()} == set()
