"""The `charlab` command: what is done with runs once they exist, and a look at data.

Subcommands import what they need when they are called, so `--help` is quick.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import click

import charlab
from charlab import terminal
from charlab.arguments import OVERRIDES, RUN
from charlab.compare.command import compare_command
from charlab.errors import CharlabError, OutOfMemory
from charlab.leet import leet_command
from charlab.listing.command import runs_command
from charlab.plot.command import plot_command
from charlab.resume_command import resume_command
from charlab.run_config import check_stream
from charlab.sweeps.command import sweep_command
from charlab.wandb_report import wandb_report_command

Which = Literal["best", "last"]
Split = Literal["train", "val", "test"]
DATA = ("names", "enwik8", "enwik8_chars", "text", "python_stdlib")

CHECKPOINT = click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Best on validation, or the last one.",
)


@final
class FiniteRange(click.FloatRange):
    """A range of finite numbers; NaN compares as inside of any range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(charlab.__version__)
def charlab_command() -> None:
    """Use and compare runs, sweep, look at data. Training is `python train.py --help`.

    RUN is a run directory, such as runs/names/gru-1xh128-s0-3f2a9c1b. Its configuration is read
    from it; options to change, as for train.py (data.path=FILE), may follow.
    """


@charlab_command.command("sample", short_help="Text from a trained run.")
@RUN
@OVERRIDES
@click.option("-p", "--prompt", "prompts", multiple=True, help="Text to continue; repeatable.")
@click.option(
    "-n",
    "--num-samples",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Samples of each prompt.",
)
@click.option(
    "-t",
    "--temperature",
    type=FiniteRange(min=0, max=100),
    default=1.0,
    show_default=True,
    help="Below 1 is safer, above is wilder; 0 takes the likeliest character.",
)
@click.option("--top-k", type=click.IntRange(min=1), help="Draw among the K likeliest characters.")
@click.option(
    "--top-p",
    type=FiniteRange(min=0, max=1, min_open=True),
    help="Draw among the likeliest characters that together hold this mass.",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Characters after which a sample is cut.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    default=0,
    show_default=True,
    help="The same seed draws the same samples.",
)
@CHECKPOINT
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def sample_command(
    run: Path,
    overrides: Sequence[str],
    prompts: Sequence[str],
    num_samples: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    max_length: int,
    seed: int,
    checkpoint: Which,
    as_json: bool,
) -> None:
    """Text from a trained run: a name a line, or stretches of a text.

    What could do anything to a terminal is shown as U+FFFD; --json has it as it was drawn.
    """
    import torch

    from charlab.restore import restore
    from charlab.sampling import sample
    from charlab.threads import choose_threads

    restored = restore(run, overrides, checkpoint)
    hidden_size, asked = restored.model.record["hidden_size"], restored.config.trainer.num_threads
    choose_threads(num_samples * max(1, len(prompts)), hidden_size, asked)
    for prompt in prompts:
        for character in restored.vocabulary.unknown(restored.vocabulary.clean_prompt(prompt)):
            click.echo(
                f"note: {character!r} does not occur in the training data; read as unknown",
                err=True,
            )
    drawn = sample(
        restored.model,
        restored.vocabulary,
        torch.Generator().manual_seed(seed),
        prompts=prompts or [""],
        temperatures=[temperature],
        num_samples=num_samples,
        max_length=max_length,
        top_k=top_k,
        top_p=top_p,
    )
    if as_json:
        for one in drawn:
            click.echo(json.dumps(vars(one), ensure_ascii=False))
        return
    # names end by themselves; stretches of a text have lines of their own, so something parts them
    is_parted = restored.vocabulary.eos_id is None and len(drawn) > 1
    for number, one in enumerate(drawn, 1):
        if is_parted:
            click.echo(f"--- {number} of {len(drawn)}")
        click.echo(terminal.harmless(one.text))


@charlab_command.command("eval", short_help="The exact score of a trained run.")
@RUN
@OVERRIDES
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Part of the data to score.",
)
@click.option(
    "--lanes",
    type=click.IntRange(min=1),
    help="Lanes that a text is scored in, side by side; 1 reads it from end to end.",
)
@click.option("--window", type=click.IntRange(min=1), help="Steps of a text read at a time.")
@click.option(
    "--dynamic",
    is_flag=True,
    help="Also score the model while it goes on learning from the text (Krause et al. 2018).",
)
@click.option(
    "--dynamic-lr", type=FiniteRange(min=0), help="Size of its steps.", show_default="tuned"
)
@click.option(
    "--dynamic-decay",
    type=FiniteRange(min=0),
    help="Its pull back to the trained weights.",
    show_default="tuned",
)
@CHECKPOINT
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def eval_command(
    run: Path,
    overrides: Sequence[str],
    split: Split,
    lanes: int | None,
    window: int | None,
    dynamic: bool,
    dynamic_lr: float | None,
    dynamic_decay: float | None,
    checkpoint: Which,
    as_json: bool,
) -> None:
    """The exact score of a trained run, from its run directory alone.

    It does not depend on lanes and window beyond 0.001 bits, nor on the batch size.
    """
    if not dynamic and (dynamic_lr, dynamic_decay) != (None, None):
        raise click.UsageError("--dynamic-lr and --dynamic-decay go with --dynamic")
    flags = {"--lanes": lanes, "--window": window, "--dynamic": dynamic or None}
    if given := [flag for flag, value in flags.items() if value is not None]:
        check_stream(run, overrides, given[0])
    from charlab import screen
    from charlab.data.report import ConsoleReport, SilentReport
    from charlab.dynamic import DynamicSettings
    from charlab.rescore import rescore

    wanted = {"data.eval_lanes": lanes, "data.eval_window": window}
    more = [f"{name}={value}" for name, value in wanted.items() if value is not None]
    tuned = DynamicSettings()
    settings = DynamicSettings(
        lr=tuned.lr if dynamic_lr is None else dynamic_lr,
        decay=tuned.decay if dynamic_decay is None else dynamic_decay,
    )
    console = terminal.console()
    report = SilentReport() if as_json else ConsoleReport(console)
    found = rescore(
        run, [*overrides, *more], checkpoint, split, settings if dynamic else None, report
    )
    if as_json:
        click.echo(json.dumps({"run": str(run), **found.scores, "samples": found.quality}))
    else:
        screen.show_evaluation(console, split, found.scores, found.quality, found.data)


@charlab_command.command("data", short_help="What a data set holds.")
@click.argument("name", type=click.Choice(DATA))
@OVERRIDES
@click.option(
    "-o",
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the picture goes.  [default: NAME.png]",
)
def data_command(name: str, overrides: Sequence[str], picture: Path | None) -> None:
    """What a data set holds, with a picture: lengths of names, symbols of a text.

    Options may follow, as for train.py: charlab data text data.path=FILE.
    """
    from charlab.config.load import load_data
    from charlab.data.check import check_data_config
    from charlab.data.dataset import describe_dataset
    from charlab.data.report import ConsoleReport

    config, paths = load_data(name, overrides)
    check_data_config(config)
    console = terminal.console()
    describe_dataset(
        config, Path(paths.cache), console, ConsoleReport(console), picture or Path(f"{name}.png")
    )


charlab_command.add_command(runs_command)
charlab_command.add_command(compare_command)
charlab_command.add_command(plot_command)
charlab_command.add_command(resume_command)
charlab_command.add_command(sweep_command)
charlab_command.add_command(leet_command)
charlab_command.add_command(wandb_report_command)


def main() -> None:
    """Exit code 0, that of a CharlabError (2 for the user's mistakes), 130 for Ctrl-C."""
    terminal.take_any_character()
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """The exit code of a command line without its program."""
    try:
        code = charlab_command.main(list(words), prog_name="charlab", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except CharlabError as error:
        return terminal.tell(error)
    except (RuntimeError, MemoryError, OSError) as error:
        if (told := OutOfMemory.of(error)) is None:
            raise
        return terminal.tell(told)
    return code if isinstance(code, int) else 0
