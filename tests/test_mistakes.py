"""What people do wrong beyond options: data, runs, checkpoints, devices, environment, packages.

Options have a table in config/test_mistakes.py, sweep files one in sweep_files/test_files.py.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from charlab import cli
from charlab.config.entry import main

from .running import ROOT, TINY, train, write_names

NAMES = "\n".join(f"name{a}{b}" for a in "abcdefghij" for b in "klmnopqrst")


@dataclass(frozen=True)
class Row:
    """A mistake.

    words     after "train.py", or after "charlab" where the first one is no option; RUN is a run
    fragments of what is told
    setup     makes what the mistake is about in the folder, where it is and "run" may be
    code      exit code
    """

    words: str
    fragments: tuple[str, ...]
    setup: Callable[[Path], object] = lambda folder: None
    env: dict[str, str] = field(default_factory=dict)
    without: str = ""
    code: int = 2

    @property
    def needs_a_run(self) -> bool:
        return "RUN" in self.words.split()


def file(name: str, content: str | bytes) -> Callable[[Path], object]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(raw)


def folder(name: str) -> Callable[[Path], object]:
    return lambda here: (here / name).mkdir()


def gone(name: str) -> Callable[[Path], object]:
    return lambda here: (here / "run" / name).unlink()


def cut(name: str, kept: int) -> Callable[[Path], object]:
    return lambda here: (here / "run" / name).write_bytes((here / "run" / name).read_bytes()[:kept])


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    def replace(here: Path) -> None:
        path = here / "run" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return replace


def flipped(here: Path) -> None:
    path = here / "run" / "checkpoints" / "best.ckpt"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def zipped(*names: str) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in names:
            archive.writestr(name, "some text\n" * 500)
    return raw.getvalue()


def saved(content: object) -> bytes:
    raw = io.BytesIO()
    torch.save(content, raw)
    return raw.getvalue()


BEST = "run/checkpoints/best.ckpt"
TEXT = "data=text data.path=text"
TABLE = {
    # ------------------------------------------------------------------------------ lists of names
    "no file": Row("data.path=no.txt", ("there is no file no.txt",)),
    "a folder": Row("data.path=some", ("some is a folder",), folder("some")),
    "an empty file": Row("data.path=a.txt", ("a.txt", "empty"), file("a.txt", "")),
    "blank lines": Row("data.path=a.txt", ("a.txt",), file("a.txt", "\n \n\t\n")),
    "too few names": Row("data.path=a.txt", ("train",), file("a.txt", "Ann\nBob\n")),
    "one name many times": Row("data.path=a.txt", ("train",), file("a.txt", "Ann\n" * 50)),
    "not UTF-8": Row("data.path=a.txt", ("UTF-8",), file("a.txt", NAMES.encode() + b"\n\xff\xfe")),
    "a name too long": Row(
        "data.path=a.txt data.max_length=5",
        ("data.max_length", "nameak"),
        file("a.txt", NAMES),
    ),
    "half a gzip": Row(
        "data.path=a.gz", ("a.gz",), file("a.gz", gzip.compress(NAMES.encode() * 9)[:-20])
    ),
    "no gzip": Row("data.path=a.gz", ("a.gz",), file("a.gz", NAMES)),
    "another file than said": Row(
        f"data.path=a.txt data.sha256={'0' * 64}", ("sha256", "0000"), file("a.txt", NAMES)
    ),
    # ------------------------------------------------------------------------------------- streams
    "no path": Row("data=text", ("data.path",)),
    "a text that is not there": Row(TEXT, ("there is no file text",)),
    "a text of nothing": Row(TEXT, ("text", "empty"), file("text", "")),
    "a text too short": Row(TEXT, ("text",), file("text", "a few words\n")),
    "bytes read as characters": Row(
        f"{TEXT} data.symbols=chars", ("UTF-8",), file("text", b"abc\xff" * 9000)
    ),
    "half a bz2": Row(
        "data=text data.path=t.bz2",
        ("t.bz2",),
        file("t.bz2", bz2.compress(b"some text\n" * 5000)[:-9]),
    ),
    "half an xz": Row(
        "data=text data.path=t.xz",
        ("t.xz",),
        file("t.xz", lzma.compress(b"some text\n" * 5000)[:-9]),
    ),
    "a zip of two": Row("data=text data.path=t.zip", ("t.zip",), file("t.zip", zipped("a", "b"))),
    "a zip of none": Row("data=text data.path=t.zip", ("t.zip",), file("t.zip", zipped())),
    "no zip": Row("data=text data.path=t.zip", ("t.zip",), file("t.zip", b"PK" * 99)),
    "a part of enwik8": Row(
        "data=enwik8 data.path=part", ("enwik8", "data.verify=false"), file("part", "a" * 99_999)
    ),
    "a wrong sum of a text": Row(
        f"{TEXT} data.sha256={hashlib.sha256(b'').hexdigest()}",
        ("sha256",),
        file("text", "some text\n" * 9000),
    ),
    # ------------------------------------------------------------------------------ run directories
    "no run": Row("sample no/such/run", ("no/such/run is not a run directory", "no such folder")),
    "a folder that is none": Row("sample some", ("some is not a run directory",), folder("some")),
    "a file for a run": Row("eval a.txt", ("a.txt is not a run directory",), file("a.txt", "")),
    "no record": Row("sample RUN", ("no run.json in it",), gone("run.json")),
    "half a record": Row("sample RUN", ("run.json",), cut("run.json", 300)),
    "a record of nothing": Row("sample RUN", ("run.json",), file("run/run.json", "[]")),
    "no configuration": Row("sample RUN", ("config.yaml",), gone("config.yaml")),
    "half a configuration": Row("sample RUN", ("config.yaml",), file("run/config.yaml", "a: [1")),
    "an option that is none": Row(
        "eval RUN",
        ("hiden_size", "config.yaml"),
        replaced("config.yaml", "hidden_size", "hiden_size"),
    ),
    "a value out of range": Row(
        "eval RUN",
        ("model.hidden_size cannot be -16",),
        replaced("config.yaml", "hidden_size: 16", "hidden_size: -16"),
    ),
    "another model": Row("eval RUN model.hidden_size=32", ("do not fit its model",)),
    "other data": Row(
        "eval RUN data.path=a.txt",
        ("the data are not those that the run was trained on",),
        file("a.txt", NAMES),
    ),
    "nothing left to do": Row("resume RUN", ("nothing is left of its budget",)),
    "another rate": Row(
        "resume RUN optimizer.lr=1", ("optimizer.lr cannot be changed", "optimizer.lr=0.005")
    ),
    "runs of no group": Row("runs nope", ("nope names no runs",)),
    "a comparison of nothing": Row("compare nope", ("nope names no runs",)),
    "a plot of nothing": Row("plot nope", ("nope is not a run directory",)),
    # --------------------------------------------------------------------------------- checkpoints
    "no checkpoint": Row(
        "sample RUN", ("best.ckpt", "no such file"), gone("checkpoints/best.ckpt")
    ),
    "half a checkpoint": Row("sample RUN", ("best.ckpt",), cut("checkpoints/best.ckpt", 999)),
    "a bit of it": Row("sample RUN", ("damaged: it is not what was written",), flipped),
    "a pickle": Row("sample RUN", ("best.ckpt",), file(BEST, pickle.dumps({"a": 1}))),
    "a tensor": Row(
        "sample RUN", ("not a checkpoint of charlab",), file(BEST, saved(torch.ones(1)))
    ),
    "another's checkpoint": Row(
        "sample RUN", ("not a checkpoint of charlab",), file(BEST, saved({"state_dict": {}}))
    ),
    "the last one of none": Row(
        "sample RUN --checkpoint last", ("last.ckpt",), gone("checkpoints/last.ckpt")
    ),
    # ------------------------------------------------------------------------------------ sampling
    "a negative temperature": Row("sample RUN --temperature -1", ("not in the range",)),
    "an endless temperature": Row("sample RUN --temperature inf", ("not in the range",)),
    "a temperature that is none": Row("sample RUN --temperature warm", ("'warm'",)),
    "the likeliest none": Row("sample RUN --top-k 0", ("not in the range",)),
    "a mass of nothing": Row("sample RUN --top-p 0", ("not in the range",)),
    "no samples": Row("sample RUN -n 0", ("not in the range",)),
    "samples of nothing": Row("sample RUN --max-length 0", ("not in the range",)),
    "a negative seed": Row("sample RUN --seed -1", ("not in the range",)),
    # ------------------------------------------------------------------- devices, environment, disk
    "no GPU": Row("trainer.accelerator=gpu", ("1 CUDA device(s)", "trainer.accelerator=cpu")),
    "a precision of GPUs": Row("trainer.precision=16-mixed", ("needs a GPU", "bf16-mixed")),
    "no compiler": Row(
        "model=custom_gru model.engine=compiled",
        ("model.engine=compiled", "/no/such/compiler"),
        env={"CXX": "/no/such/compiler"},
    ),
    "a mode of W&B": Row(
        "logger.wandb.mode=auto",
        ("WANDB_MODE=sometimes is not a mode", "online, offline, disabled"),
        env={"WANDB_MODE": "sometimes"},
    ),
    "no account": Row(
        "logger.wandb.mode=online",
        ("cannot be online without credentials", "wandb login"),
        env={"WANDB_API_KEY": ""},
    ),
    "a rank of torchrun": Row(
        "trainer.max_steps=2", ("RANK", "torchrun"), env={"RANK": "0", "WORLD_SIZE": "2"}
    ),
    "runs in a file": Row(
        "paths.runs=a.txt",
        ("cannot make a run directory in a.txt", "paths.runs"),
        file("a.txt", ""),
    ),
    "a picture in a file": Row(
        "data names -o a.txt/b.png", ("the picture cannot be written",), file("a.txt", "")
    ),
    # ------------------------------------------------------------------------------------- packages
    "no tensorboard": Row(
        "logger.tensorboard.enabled=true",
        ("-e '.[tensorboard]'",),
        without="tensorboard",
    ),
    "no optuna": Row(
        f"sweep {ROOT}/sweeps/learning_rate_names.yaml", ("-e '.[sweeps]'",), without="optuna"
    ),
    "no submitit": Row("-m hydra/launcher=slurm seed=0,1", ("-e '.[slurm]'",), without="submitit"),
    "no zstandard": Row(
        "data=text data.path=t.zst",
        ("-e '.[zstd]'",),
        file("t.zst", b"(\xb5/\xfd" * 99),
        without="zstandard",
    ),
    "no plotly": Row("compare RUN --html a.html", ("-e '.[report]'",), without="plotly"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    code, run = train(folder, "trainer.max_steps=10")
    assert code == 0
    return run


def tree(here: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(here)): path.read_bytes()
        for path in sorted(here.rglob("*"))
        if path.is_file() and "cache" not in path.relative_to(here).parts
    }


def type_in(words: list[str], here: Path) -> int:
    if "=" not in words[0] and words[0] != "-m":
        return cli.run([str(here / "run") if word == "RUN" else word for word in words])
    given = {word.partition("=")[0] for word in words}
    names = [] if given & {"data", "data.path"} else [f"data.path={write_names(here)}"]
    runs = [] if "paths.runs" in given else ["paths.runs=runs"]
    return main([*TINY, "paths.cache=cache", *names, *runs, *words], trainer(), ROOT / "train.py")


def trainer() -> Callable[..., None]:
    import importlib.util

    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found: Callable[..., None] = script.train
    return found


@pytest.mark.parametrize("name", TABLE)
def test_a_mistake_is_told_in_one_message_and_changes_nothing(
    name, finished, tmp_path, monkeypatch, capsys
):
    row = TABLE[name]
    monkeypatch.chdir(tmp_path)
    write_names(tmp_path)
    if row.needs_a_run:
        shutil.copytree(finished, tmp_path / "run")
    row.setup(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    for variable, value in row.env.items():
        monkeypatch.setenv(variable, value)
    # what this process has compiled before
    monkeypatch.setattr("charlab.engine.cpu.build._loaded", {})
    if row.without:
        for module in [one for one in sys.modules if one.partition(".")[0] == row.without]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, row.without, None)
    before = tree(tmp_path)
    code = type_in(row.words.split(), tmp_path)
    out, err = capsys.readouterr()
    assert code == row.code, err
    assert "Traceback" not in out + err
    assert err.count("rror: ") == 1, err
    for fragment in row.fragments:
        assert fragment in err
    assert tree(tmp_path) == before


def test_a_prompt_of_unknown_characters_or_of_nothing_is_none(finished, capsys):
    """The first is read as unknown, and said so; temperature 0 takes the likeliest character."""
    words = ["sample", str(finished), "--temperature", "0", "-n", "2"]
    assert cli.run([*words, "--prompt", "ß¿"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"note: {one!r} does not occur in the training data; read as unknown" for one in "ß¿"
    ]
    first, second = out.splitlines()
    assert first == second
    assert cli.run([*words, "--prompt", ""]) == 0
    assert capsys.readouterr().err == ""


def test_a_traceback_is_there_for_who_asks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHARLAB_DEBUG", "1")
    (tmp_path / "a.txt").write_text("")
    assert type_in(["data.path=a.txt"], tmp_path) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_the_table_is_long_enough():
    """Not a number for its own sake: each part of the program has its mistakes in it."""
    assert len(TABLE) >= 60
    assert json.dumps(sorted(TABLE))
