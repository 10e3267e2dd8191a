"""Every command that README and docs/ show is run, or listed here with why not and then checked.

What is run is run as it is printed, in a folder of its own with a tiny run for RUN, files for what
data.path names, and training cut short. docs/commands.md is held to the code, and docs/errors.md to
what is printed.
"""

import gzip
import importlib.util
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from omegaconf import OmegaConf

from charlab import cli, errors
from charlab.cells import CELLS
from charlab.config.compose import Composer
from charlab.config.entry import main
from charlab.config.options import all_options, expected, launcher_options, sections
from charlab.found import STATES

from .documented import (
    DOCUMENTS,
    ROOT,
    Command,
    commands_of,
    inline_commands_of,
    scripts_of,
    table_rows,
)
from .running import STREAM, TINY, train, write_names

# Commands that are not run here, by what they look like, and why. They are checked all the same:
# train.py composes and checks its jobs, charlab reads its options, sweeps say what there is to do.
NOT_RUN = {
    r"\[[A-Z]|\.\.\.": "a form, not a command",
    r"^make\b": "installs, or takes minutes: make -n",
    r"^(\.|source|cd|pip|git|apt-get)\s": "changes the shell or the machine",
    r"^wandb\b|^charlab wandb-report\b": "an account of W&B: tests/test_wandb_*.py have a server",
    r"^charlab leet\b|--watch\b": "goes on until a key is pressed",
    r"^(srun|sbatch)\b|\bhydra/launcher=slurm\b": "a cluster: tests/test_slurm*.py have one",
    r"\bdata=enwik8|\bexperiment=\w*enwik8|\bsweeps/\w*enwik8": "the network, for 100 MB",
    r"\btrainer=ddp\b|\btrainer\.devices=": "several devices: tests/test_ddp.py",
    r"^charlab sweep\b|^python train\.py.* -m\b": "minutes: tests/sweeps/test_real.py runs some",
    r"^python (?!train\.py)|^pytest\b|^sh\b": "minutes",
    r"\bmodel=mgu\b": "the cell to write: tests/test_readme.py writes and trains it",
}
RUN = r"^(python train\.py|charlab)\b"
ERRORS = ROOT / "docs" / "errors.md"

SHOWN = [one for path in DOCUMENTS for one in commands_of(path)]
INLINE = [one for path in DOCUMENTS for one in inline_commands_of(path)]


def why_not(command: Command) -> str | None:
    return next((why for like, why in NOT_RUN.items() if re.search(like, command.words)), None)


def is_error(command: Command) -> bool:
    return any(line.startswith("error: ") for line in command.printed)


def once(commands: list[Command]) -> list[Command]:
    return list({one.words: one for one in reversed(commands)}.values())[::-1]


TO_FAIL = [one for one in SHOWN if is_error(one)]
TO_RUN = once([one for one in SHOWN if not is_error(one) and why_not(one) is None])
TO_CHECK = once([one for one in SHOWN if not is_error(one) and why_not(one)] + INLINE)


def test_documents_show_commands():
    """A pattern that finds nothing any more would let all other tests here pass."""
    assert {one.document for one in SHOWN} >= {"README.md", "errors.md"}
    assert len(TO_RUN) >= 15
    assert len(TO_FAIL) >= 12


@pytest.mark.parametrize("command", TO_RUN, ids=str)
def test_a_command_is_run_or_listed(command):
    assert re.match(RUN, command.words), f"neither run nor in NOT_RUN: {command}"


@pytest.mark.parametrize("like", NOT_RUN)
def test_nothing_is_listed_that_no_document_shows(like):
    assert any(re.search(like, one.words) for one in [*SHOWN, *INLINE])


# ------------------------------------------------------------------------------------ those run
def script_of_training():
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.train


def linked(folder: Path) -> Path:
    for name in ("train.py", "conf", "sweeps", "docs", "benchmarks", "tests", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder like that of a user, with names, a text and a standard library of its own."""
    folder = linked(tmp_path_factory.mktemp("place"))
    write_names(folder)
    (folder / "text.txt").write_text("one word after another, and a line now and then\n" * 200)
    (folder / "library").mkdir()
    for number in range(30):
        source = f"def f{number}(x):\n    return x\n" * 50
        (folder / "library" / f"{number}.py").write_text(source)
    return folder


@pytest.fixture(scope="module")
def runs(place):
    """Runs of two cells on names, and of one on the text."""
    text = f"data.path={place / 'text.txt'}"
    names = "group=base"
    for run in ([names], [names, "model=rnn"], [*STREAM, text, "group=texts"]):
        assert train(place, "trainer.max_steps=10", *run)[0] == 0
    return place / "runs"


@pytest.fixture
def root_logger():
    """As it was, afterwards: Hydra's --info has it write all that there is to a closed output."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        if handler not in handlers:
            root.removeHandler(handler)


@pytest.fixture
def here(place, monkeypatch, root_logger):
    """`place` as the working directory."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("CHARLAB_CACHE", str(place / "cache"))
    library = SimpleNamespace(get_path=lambda name: str(place / "library"))
    monkeypatch.setattr("charlab.data.stdlib.sysconfig", library)
    return place


def words_of(command: Command) -> list[str]:
    """From the program on, without what starts it and what the shell puts in."""
    line = re.sub(r'"\$\{.*?\}"', "128", command.words)
    line = re.sub(r"^.*?(?=python train\.py|charlab )", "", line)
    return shlex.split(re.sub(r"\[[A-Z][^]]*\]|(?<=\s)\.\.\.", "", line))


def compose(words: list[str], *flags: str) -> list[OmegaConf]:
    """The configurations that train.py is given; under -m none, as its jobs are only listed."""
    configs = []

    def job(config, overrides, asked):
        configs.append(config)

    assert main([*words, *flags], job, ROOT / "train.py") == 0
    return configs


def make_files(words: list[str]) -> None:
    """What data.path names, if it is not there: a text, or names."""
    for word in words:
        name, _, path = word.partition("=")
        if name == "data.path" and not Path(path).exists():
            is_text = "data=text" in words
            content = Path("text.txt" if is_text else "names.txt").read_bytes()
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(gzip.compress(content) if path.endswith(".gz") else content)


def cut_short(words: list[str], config) -> list[str]:
    """The same command for a model and a budget as small as they can be."""
    small = list(TINY)
    if config.model.match_params is not None:
        small.remove("model.hidden_size=16")
        small.append("model.match_params=5000")
    if config.data.name != "names":
        small += [word for word in STREAM if not word.startswith("data=")]
    elif config.data.path is None:
        small.append("data.path=names.txt")
    set_here = {word.partition("=")[0] for word in small}
    kept = [word for word in words if word.partition("=")[0] not in set_here]
    return [*kept, *small]


def records(folder: Path) -> dict[Path, dict]:
    return {path: json.loads(path.read_text()) for path in folder.glob("runs/*/*/run.json")}


def train_as_shown(words: list[str], folder: Path) -> None:
    if {"--help", "-h", "--cfg"} & set(words):
        assert main(words, script_of_training(), ROOT / "train.py") == 0
        return
    make_files(words)
    (config,) = compose(words)
    before = records(folder)
    small = cut_short(words, config)
    assert main(small, script_of_training(), ROOT / "train.py") == 0
    new = [record for path, record in records(folder).items() if path not in before]
    if "--once" in words:  # another command may have done it
        after = records(folder)
        assert main(small, script_of_training(), ROOT / "train.py") == 0
        assert records(folder) == after
    else:
        assert [record["status"] for record in new] == ["finished"]


def a_run(words: list[str], folder: Path) -> str:
    """A run for RUN: of a text where lanes are asked for, one to go on with for `resume`."""
    of_text = {"--lanes", "--window", "--dynamic"} & set(words)
    run = min(folder.glob(f"runs/{'texts' if of_text else 'base'}/*/run.json")).parent
    if words[0] == "resume":
        copy = folder / "runs" / f"resumed-{len(words)}" / run.name
        shutil.copytree(run, copy)
        if len(words) == 2:
            record = json.loads((copy / "run.json").read_text())
            (copy / "run.json").write_text(json.dumps(record | {"status": "preempted"}))
        return str(copy)
    return str(run)


def use_as_shown(words: list[str], folder: Path) -> None:
    run = a_run(words, folder)
    words = [run if word == "RUN" else word for word in words]
    words = [re.sub(r"^trainer\.max_steps=\d+$", "trainer.max_steps=14", word) for word in words]
    if words[0] in ("compare", "runs"):
        for word in words[1:]:  # a group
            if re.fullmatch(r"\w+", word) and not (folder / "runs" / word).exists():
                shutil.copytree(folder / "runs" / "base", folder / "runs" / word)
    assert cli.run(words) == 0
    if words[0] == "resume":
        assert json.loads((Path(run) / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("command", TO_RUN, ids=str)
def test_a_command_does_what_it_says(command, runs, here, capsys):
    program, *words = words_of(command)
    if program == "python":
        train_as_shown(words[1:], here)
    else:
        use_as_shown(words, here)
    out, err = capsys.readouterr()
    assert out
    assert "Traceback" not in err


# ------------------------------------------------------------------------------------ those not run
def mgu_yaml() -> str:
    """The file that whoever writes the cell of the documents puts into conf/model."""
    text = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    yaml = r"^```yaml\n(# conf/model/mgu\.yaml\n.*?)^```"
    (found,) = re.findall(yaml, text, re.DOTALL | re.MULTILINE)
    return found


def check_training(words: list[str], monkeypatch) -> None:
    make_files(words)
    if "mgu" in " ".join(words):
        monkeypatch.setitem(CELLS, "mgu", ("charlab.cells.mgu", "MGU"))
        Path("more/model").mkdir(parents=True, exist_ok=True)
        Path("more/model/mgu.yaml").write_text(mgu_yaml())
        words = [*words, "--config-dir", "more"]
    words = [{"DIR": ".", "NAME": "config"}.get(word, word) for word in words]
    if "--shell-completion" in words:
        words = [*words, "install=bash"]
    flags = ["--dry-run"] if "-m" in words and "--dry-run" not in words else []
    shows = {"--help", "--cfg", "--info", "--shell-completion", "-m"} & set(words)
    assert len(compose(words, *flags)) == (0 if shows else 1)


def check_use(words: list[str]) -> None:
    """The command is there, and takes what it is given; of a sweep, each job."""
    if words[0].startswith("--") or words[0] == "COMMAND":
        return
    command = cli.charlab_command.commands[words[0]]
    words = ["names" if word == "NAME" else word for word in words]
    make_files(words)
    if words[0] == "sweep" and words[1:] and Path(words[1]).exists() and "URL" not in words:
        dry = [] if "--dry-run" in words or "--report" in words else ["--dry-run"]
        assert cli.run([*words, *dry]) == 0
    else:  # a sentence may leave out what it is about
        missing = suppress(click.MissingParameter, click.BadOptionUsage)
        with click.Context(cli.charlab_command), missing:
            command.make_context(words[0], words[1:])


def is_quick(command: Command) -> bool:
    """Not what lists a sweep of a file, of which tests/test_sweeps.py looks at each."""
    return command.document != "results.md" or "charlab sweep " not in command.words


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(one, marks=[] if is_quick(one) else pytest.mark.slow, id=str(one))
        for one in TO_CHECK
    ],
)
def test_a_command_that_is_not_run_could_be(command, here, monkeypatch, capsys):
    program, *words = words_of(command)
    if program == "python" and words[0] == "train.py":
        check_training(words[1:], monkeypatch)
    elif program == "charlab":
        check_use(words)
    elif program == "make":
        done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    elif program in ("python", "sh", "pytest"):
        (file, *_) = [word for word in words if not word.startswith("-")]
        assert (ROOT / file).exists()
    else:
        assert why_not(command)


SCRIPTS = [(path.name, script) for path in DOCUMENTS for script in scripts_of(path)]


@pytest.mark.parametrize(("document", "script"), SCRIPTS)
def test_scripts_can_be_read(document, script):
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, f"{document}: {done.stderr}"


# ------------------------------------------------------------------------------------------- errors
# Files that errors are about; others that they name are not there.
FILES = {
    "few.txt": b"Ann\nBob\n",
    "latin.txt": b"Ann\nBob\nCaf\xe9\n",
    "names.txt": b"Abagael\nAbagail\nAbbe\n",
    "part_of_enwik8": b"some text\n" * 20_000,
    "short.txt": b"a few words\n",
}


@pytest.mark.parametrize("command", TO_FAIL, ids=str)
def test_an_error_is_told_as_the_document_has_it(command, tmp_path, monkeypatch, capsys):
    """Line by line; `...` in the document stands for what differs from machine to machine."""
    monkeypatch.chdir(linked(tmp_path))
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    line = command.words
    while found := re.match(r"(\w+)=(\S*) ", line):
        monkeypatch.setenv(found[1], found[2])
        line = line[found.end() :]
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_API_KEY", "")
    program, *words = shlex.split(line)
    if program == "charlab":
        code = cli.run(words)
    else:
        assert words[0] == "train.py"
        code = main(words[1:], script_of_training(), ROOT / "train.py")
    told = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(told) == len(command.printed)
    for shown, line in zip(command.printed, told, strict=True):
        assert re.fullmatch(re.escape(shown).replace(r"\.\.\.", ".*"), line), line


def test_errors_are_many_and_each_has_a_message():
    entries = ERRORS.read_text("utf-8").split("\n### ")[1:]
    assert len(entries) >= 25
    for entry in entries:
        assert "```" in entry, entry.partition("\n")[0]


def test_what_people_ask_most_is_told_in_full():
    rows = list(table_rows((ROOT / "README.md").read_text("utf-8"), "it says"))
    assert len(rows) >= 8
    told = ERRORS.read_text("utf-8")
    assert [said for said, *_ in rows if said.strip("`.").strip() not in told] == []


# --------------------------------------------------------------------------------- docs/commands.md
REFERENCE = (ROOT / "docs" / "commands.md").read_text("utf-8")
OPTION = re.compile(r"`(-{1,2}[\w-]+)`")


def rows_of_commands() -> dict[str, list[str]]:
    rows = list(table_rows(REFERENCE, "command"))
    return {row[0].strip("`").split()[1]: row for row in rows}


def test_the_reference_has_each_command():
    assert set(rows_of_commands()) == set(cli.charlab_command.commands)


@pytest.mark.parametrize("name", sorted(cli.charlab_command.commands))
def test_the_reference_has_each_option_of_a_command_and_its_default(name):
    told = rows_of_commands()[name][2]
    options = [
        one for one in cli.charlab_command.commands[name].params if isinstance(one, click.Option)
    ]
    assert sorted(OPTION.findall(told)) == sorted(word for one in options for word in one.opts)
    for option in options:
        (part,) = [part for part in re.split(r", (?=`-)", told) if f"`{option.opts[-1]}`" in part
                   or f"`{option.opts[0]}`" in part]  # fmt: skip
        default = option.show_default if isinstance(option.show_default, str) else option.default
        if isinstance(default, (str, int, float, Path)) and not option.is_flag:
            assert part.endswith(f"({default})"), part
        if isinstance(option.type, click.Choice) and tuple(option.type.choices) != STATES:
            assert ", ".join(option.type.choices) in part


def test_the_reference_has_each_flag_of_training(capsys):
    assert main(["--help"], script_of_training(), ROOT / "train.py") == 0
    told = capsys.readouterr().out.partition("\nFlags\n")[2].partition("\nGroups")[0]
    forms = " ".join(" ".join(row) for row in table_rows(REFERENCE, "form"))
    flag = r"(?<![\w-])--[a-z-]+"
    assert set(re.findall(flag, forms)) == set(re.findall(flag, told))


def test_the_reference_has_each_target_of_make():
    targets = re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [(row[0], row[1]) for row in table_rows(REFERENCE, "target")] == [
        (f"`make {name}`", purpose) for name, purpose in targets
    ]


OPTIONS = {row[0].strip("`"): row for row in table_rows(REFERENCE, "option")}


@pytest.fixture(scope="module")
def composed():
    """The configuration under some choices, with Hydra's own part."""
    composer, found = Composer(ROOT / "conf", "config", None), {}

    def of(words):
        if words not in found:
            found[words] = composer.compose_unchecked(words.split())
        return found[words]

    return of


@pytest.mark.parametrize("name", OPTIONS)
def test_the_reference_has_the_values_and_the_range_of_an_option(name, composed):
    _, values, takes, _ = OPTIONS[name]
    field = (all_options() | launcher_options())[name].field
    told = re.findall(r"`([^`]*)`(?: \(`([^`]*)`\))?(?:, |$)", values)
    assert told
    for value, words in told:
        is_now = OmegaConf.select(composed(words), name)
        plain = OmegaConf.to_container(is_now) if OmegaConf.is_config(is_now) else is_now
        assert value == (plain if isinstance(plain, str) else json.dumps(plain)), words
    if "choices" in field.metadata:
        assert re.findall(r"`(\w.*?)`", takes) == list(field.metadata["choices"])
    else:
        range_ = expected(field).partition(", such as")[0].removeprefix("a ")
        assert takes == range_.replace(f" and <= {2**63 - 1:,}", "")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_no_option_that_is_none(path):
    """Also in its sentences; a section stands for its options."""
    known = {*all_options(), *launcher_options(), *sections()}
    groups = "model|data|optimizer|scheduler|trainer|callbacks|logger|paths"
    code = " ".join(re.findall(r"`([^`\n]+)`", path.read_text("utf-8")))
    named = re.findall(rf"(?<![\w./])(?:{groups})\.[a-z0-9_.]+", code)
    assert {one.rstrip(".") for one in named} <= known


def test_the_reference_has_each_exit_code():
    told = {row[0] for row in table_rows(REFERENCE, "code")}
    kinds = [errors.CharlabError, *errors.CharlabError.__subclasses__()]
    assert told - {"0", "128 + N"} == {str(kind.exit_code) for kind in kinds}


def test_the_variables_of_the_reference_are_read():
    code = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    for row in table_rows(REFERENCE, "variable"):
        assert row[0].strip("`").partition("=")[0] in code
    own = set(re.findall(r"CHARLAB_(?:CACHE|DEBUG)", code))
    assert own <= set(re.findall(r"CHARLAB_\w+", REFERENCE))
    assert os.environ.get("OMP_NUM_THREADS") is not None  # what tests/conftest.py sets
