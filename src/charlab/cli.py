"""The `charlab` command: what is done with runs once they exist, and a look at data.

Subcommands import what they need when they are called, so `--help` is quick.
"""

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import click

import charlab
from charlab.errors import CharlabError
from charlab.terminal import take_any_character

Which = Literal["best", "last"]
Split = Literal["train", "val", "test"]

RUN = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
OVERRIDES = click.argument("overrides", metavar="[OPTION=VALUE]...", nargs=-1)
CHECKPOINT = click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Best on validation, or the last one.",
)


@final
class FiniteRange(click.FloatRange):
    """A range without NaN, which compares as inside of any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(charlab.__version__)
def charlab_command() -> None:
    """Use trained runs, and look at data. Training is `python train.py --help`.

    RUN is a run directory, such as runs/names/gru-1xh128-s0-3f2a9c1b. Its configuration is read
    from it; options to change, as for train.py (data.path=FILE), may follow.
    """


@charlab_command.command("sample")
@RUN
@OVERRIDES
@click.option("-p", "--prompt", "prompts", multiple=True, help="Text to continue; repeatable.")
@click.option("-n", "--num-samples", type=click.IntRange(min=1), default=10, show_default=True)
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
    """Text from a trained run, one sample a line."""
    import torch

    from charlab.restore import restore
    from charlab.sampling import sample

    restored = restore(run, overrides, checkpoint)
    for prompt in prompts:
        for character in restored.vocabulary.unknown(prompt.lstrip()):
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
    for one in drawn:
        click.echo(json.dumps(vars(one), ensure_ascii=False) if as_json else one.text)


@charlab_command.command("eval")
@RUN
@OVERRIDES
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Part of the data to score.",
)
@CHECKPOINT
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def eval_command(
    run: Path, overrides: Sequence[str], split: Split, checkpoint: Which, as_json: bool
) -> None:
    """The exact score of a trained run, from its run directory alone."""
    from charlab import screen
    from charlab.data.dataset import build_dataset
    from charlab.evaluation import evaluate
    from charlab.metrics import scores
    from charlab.outcome import sample_quality
    from charlab.restore import check_same_data, restore

    restored = restore(run, overrides, checkpoint)
    config = restored.config
    data = build_dataset(config.data, config.seed, Path(config.paths.cache))
    check_same_data(restored, data)
    scored = scores(
        split, evaluate(restored.model, data.module.eval_dataloader(split)), data.document
    )
    quality = sample_quality(restored.model, data, config.callbacks.samples.seed)
    if as_json:
        click.echo(json.dumps({"run": str(run), **scored, "samples": quality}))
    else:
        screen.show_evaluation(screen.console(), split, scored, quality, data)


@charlab_command.command("data")
@click.argument("name", type=click.Choice(["names"]))
@OVERRIDES
@click.option(
    "-o",
    "--histogram",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("lengths.png"),
    show_default=True,
    help="Picture of the lengths.",
)
def data_command(name: str, overrides: Sequence[str], histogram: Path) -> None:
    """What a data set holds, with a histogram of its lengths as a picture."""
    from charlab import screen
    from charlab.config.load import load_section
    from charlab.data.dataset import describe_dataset

    config = load_section("data", name, overrides)
    describe_dataset(config, screen.console(), histogram)


def main() -> None:
    """Exit code 0, that of a CharlabError (2 for the user's mistakes), 130 for Ctrl-C."""
    take_any_character()
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """The exit code of a command line without its program."""
    try:
        charlab_command.main(list(words), prog_name="charlab", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except CharlabError as error:
        if os.environ.get("CHARLAB_DEBUG") == "1":
            raise
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    return 0
