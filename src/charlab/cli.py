"""The `charlab` command: what is done with runs once they exist, and a look at data.

Subcommands import what they need when they are called, so `--help` is quick.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import charlab
from charlab.errors import CharlabError

Number = TypeVar("Number", int, float)
RUN_HELP = "a run directory, such as runs/names/gru-1xh128-s0-3f2a9c1b"
OVERRIDES_HELP = "options to change, as for train.py: data.path=FILE"


def main() -> None:
    """Exit code 0, 2 for the user's mistakes."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """The exit code of a command line without its program."""
    arguments = _parser().parse_args(words)
    try:
        arguments.run(arguments)
    except CharlabError as error:
        if os.environ.get("CHARLAB_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `charlab sample ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="charlab",
        description="Look at data, and use trained runs. Training is `python train.py --help`.",
    )
    parser.add_argument("--version", action="version", version=charlab.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_sample(commands.add_parser("sample", help="text from a trained run"))
    _add_eval(commands.add_parser("eval", help="the exact score of a trained run"))
    _add_data(commands.add_parser("data", help="what a data set holds"))
    return parser


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.description = "Text from a trained run, one sample a line on standard output."
    parser.add_argument("path", metavar="RUN", type=Path, help=RUN_HELP)
    parser.add_argument(
        "-p", "--prompt", action="append", help="text to continue (may be repeated)"
    )
    parser.add_argument("-n", "--num-samples", type=_positive, default=10, metavar="N")
    parser.add_argument(
        "-t", "--temperature", type=_temperature, default=1.0, help="0 takes the likeliest character"
    )
    parser.add_argument("--top-k", type=_positive, metavar="K", help="among the K likeliest only")
    parser.add_argument("--top-p", type=_mass, metavar="P", help="among those that hold this mass")
    parser.add_argument(
        "--max-length", type=_positive, default=100, metavar="N", help="characters (default 100)"
    )
    parser.add_argument("--seed", type=_seed, default=0, help="same seed, same samples (default 0)")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=_sample)


def _sample(arguments: argparse.Namespace) -> None:
    import torch

    from charlab.restore import restore
    from charlab.sampling import sample

    restored = restore(arguments.path, (), arguments.checkpoint)
    prompts = arguments.prompt or [""]
    for prompt in prompts:
        for character in restored.vocabulary.unknown(prompt.lstrip()):
            print(
                f"note: {character!r} does not occur in the training data; read as unknown",
                file=sys.stderr,
            )
    drawn = sample(
        restored.model,
        restored.vocabulary,
        torch.Generator().manual_seed(arguments.seed),
        prompts=prompts,
        temperatures=[arguments.temperature],
        num_samples=arguments.num_samples,
        max_length=arguments.max_length,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
    )
    for one in drawn:
        print(json.dumps(vars(one), ensure_ascii=False) if arguments.json else one.text)


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.description = "The exact score of a trained run, from its run directory alone."
    parser.add_argument("path", metavar="RUN", type=Path, help=RUN_HELP)
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE", help=OVERRIDES_HELP)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=_eval)


def _eval(arguments: argparse.Namespace) -> None:
    from charlab import screen
    from charlab.data.dataset import build_dataset
    from charlab.evaluation import evaluate
    from charlab.metrics import scores
    from charlab.outcome import sample_quality
    from charlab.restore import check_same_data, restore

    restored = restore(arguments.path, arguments.overrides, arguments.checkpoint)
    config = restored.config
    data = build_dataset(config.data, config.seed, Path(config.paths.cache))
    check_same_data(restored, data)
    sums = evaluate(restored.model, data.batches(arguments.split))
    scored = scores(arguments.split, sums, data.document)
    quality = sample_quality(restored.model, data, config.callbacks.samples.seed)
    if arguments.json:
        print(json.dumps({"run": str(arguments.path), **scored, "samples": quality}))
    else:
        screen.show_evaluation(screen.console(), arguments.split, scored, quality, data)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.description = "What a data set holds, and a histogram of its lengths as a picture."
    parser.add_argument("name", choices=("names",))
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE", help=OVERRIDES_HELP)
    parser.add_argument(
        "-o",
        "--histogram",
        type=Path,
        default=Path("lengths.png"),
        metavar="PNG",
        help="where to draw it (default lengths.png)",
    )
    parser.set_defaults(run=_data)


def _data(arguments: argparse.Namespace) -> None:
    from charlab.config.load import load_data_config
    from charlab.data.dataset import describe_dataset

    describe_dataset(load_data_config(arguments.name, arguments.overrides), arguments.histogram)


def _positive(word: str) -> int:
    return _number(word, int, lambda value: value >= 1, "a whole number of at least 1")


def _seed(word: str) -> int:
    return _number(word, int, lambda value: 0 <= value < 2**63, "a whole number of at least 0")


def _temperature(word: str) -> float:
    return _number(word, float, lambda value: 0 <= value < math.inf, "a number of at least 0")


def _mass(word: str) -> float:
    return _number(word, float, lambda value: 0 < value <= 1, "a number above 0, at most 1")


def _number(
    word: str, kind: type[Number], allowed: Callable[[Number], bool], expected: str
) -> Number:
    try:
        value = kind(word)
    except ValueError:
        value = None
    if value is None or not allowed(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {word!r}")
    return value
