"""What is said of a path that is no run directory. Imports nothing heavy."""

from pathlib import Path

from charlab.errors import UsageError


def not_a_run(path: Path, error: Exception) -> UsageError:
    """error: what reading its run.json raised."""
    return UsageError(
        f"{path} is not a run directory",
        expected="a folder with run.json, config.yaml and checkpoints/",
        got="no such folder" if not path.exists() else _reason(error),
        hint=_suggest_runs(path),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no run.json in it"
    return f"run.json: {error}"


def _suggest_runs(path: Path) -> str:
    """The newest run directories near a path that is none: not the whole disk for a typo."""
    near = next((folder for folder in (path, *path.parents[:2]) if folder.is_dir()), Path("runs"))
    patterns = ("*/run.json", "*/*/run.json") if len(near.resolve().parts) > 2 else ()
    files = {file for pattern in patterns for file in near.glob(pattern)}
    files |= set(Path("runs").glob("*/*/run.json"))
    found = sorted(files, key=lambda file: file.stat().st_mtime)[-3:]
    runs = [str(file.parent) for file in reversed(found)]
    return "one of the newest runs: " + ", ".join(runs) if runs else "python train.py makes one"
