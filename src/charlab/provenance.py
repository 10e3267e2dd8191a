"""Where a run comes from: the commit of the code, versions, hardware. Imports no torch."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import charlab

PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "numpy")


def provenance() -> dict[str, Any]:
    """Entries of run.json: code, git, versions, hardware."""
    return {
        "code": code_hash(),
        "git": git_state(Path(charlab.__file__).parent),
        "versions": _versions(),
        "hardware": _hardware(),
    }


@cache
def code_hash() -> str:
    """12 hex digits that name the source of charlab: a commit says nothing of later changes."""
    package = Path(charlab.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(file for end in ("py", "h") for file in package.rglob(f"*.{end}")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def changes(record: Mapping[str, Any]) -> list[str]:
    """What computes now and did not when the run of a record began, or went on the last time."""
    before = dict(record)
    for resumed in record.get("resumed", []):
        before |= resumed
    found = []
    if before.get("code") not in (None, code_hash()):
        found.append("the code of charlab")
    torch_before, torch_now = (before.get("versions") or {}).get("torch"), _versions()["torch"]
    if torch_before not in (None, torch_now):
        found.append(f"torch, then {torch_before} and now {torch_now}")
    return found


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the code, None where it is not a git checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    code = (":/src", ":/conf", ":/train.py")
    changes = git("status", "--porcelain", "--", *code) if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "charlab": charlab.__version__}
    return found | {package: metadata.version(package) for package in PACKAGES}


def _hardware() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_cores": os.cpu_count(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
