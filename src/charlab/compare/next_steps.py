"""What to type after a comparison: more seeds where two variants are too close, the page."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from charlab.arguments import RUNS_FOLDER
from charlab.compare.comparison import Comparison, ComparisonSet, Pair, Variant
from charlab.compare.pairs import LEAST_TO_PLAN
from charlab.reading.begun import words_like
from charlab.reading.facts import RunFacts
from charlab.terminal import callable_name

LEAST_SEEDS = 5
LEFT_OUT = ("seed=", "-", "resume=", "paths.runs=")
# more than that nobody starts because of a hint
MOST_NEEDED = 40
MOST_ADDED = 10


def next_commands(comparison: Comparison, page: Sequence[str]) -> list[tuple[str, str]]:
    """Commands, and what each is for. page: what makes the page, empty where there is one."""
    found = [command for one in comparison.sets for command in _more_seeds(one)]
    if comparison.sets and page:
        command = shlex.join([callable_name("charlab"), *page])
        found.append((command, "curves, samples and all of this as a page"))
    return found


def _more_seeds(of: ComparisonSet) -> list[tuple[str, str]]:
    """For the closest pair that nobody can call yet, or for a variant that is alone."""
    if any(variant.reason for variant in of.variants):
        return []
    if len(of.variants) == 1:
        chosen = [of.variants[0]]
        num_had, needed = len(chosen[0].runs), LEAST_SEEDS
    else:
        pair = _closest(of)
        if pair is None:
            return []
        by_label = {variant.label: variant for variant in of.variants}
        chosen = [by_label[pair.better], by_label[pair.worse]]
        num_had, needed = pair.n, max(pair.n + 1, pair.seeds_needed or LEAST_SEEDS)
    num_more = min(MOST_ADDED, needed - num_had)
    if num_more < 1:
        return []
    last = max(run.seed for variant in chosen for run in variant.runs)
    seeds = ",".join(str(last + number) for number in range(1, num_more + 1))
    more = "1 more seed" if num_more == 1 else f"{num_more} more seeds"
    return [(command, f"{more} of {of_what}") for command, of_what in _commands(chosen, seeds)]


def _closest(of: ComparisonSet) -> Pair | None:
    """Of the pairs that more seeds may decide: those with the best variant first."""
    best = of.variants[0].label
    open_pairs = [pair for pair in of.pairs if _is_worth_seeds(pair)]
    # the least difference comes last
    with_best = [pair for pair in open_pairs if best in (pair.better, pair.worse)]
    return next(reversed(with_best or open_pairs), None)


def _is_worth_seeds(pair: Pair) -> bool:
    if pair.seeds_needed is not None:
        return pair.seeds_needed <= MOST_NEEDED
    return pair.verdict != "beats" and pair.n < LEAST_TO_PLAN


def _commands(chosen: Sequence[Variant], seeds: str) -> list[tuple[str, str]]:
    """Commands, and of what they make more runs.

    One for both of two that differ in the cell alone; none where it is not known how they ran.
    """
    typed = [words for variant in chosen if (words := _typed(variant)) is not None]
    if len(typed) < len(chosen):
        return []
    python = callable_name("python")
    models = [word for words in typed for word in words if word.startswith("model=")]
    rest = [[word for word in words if not word.startswith("model=")] for words in typed]
    if len(models) == 2 and rest[0] == rest[1]:
        cells = ",".join(dict.fromkeys(word.partition("=")[2] for word in models))
        program, *options = rest[0]
        words = [python, program, "-m", f"model={cells}", *options, f"seed={seeds}"]
        return [(shlex.join(words), " and ".join(variant.label for variant in chosen))]
    return [
        (shlex.join([python, program, "-m", *options, f"seed={seeds}"]), variant.label)
        for (program, *options), variant in zip(typed, chosen, strict=True)
    ]


def _typed(variant: Variant) -> list[str] | None:
    """What makes a run like its newest one, beside it, without the seed."""
    newest = variant.runs[-1]
    command = newest.record.get("command")
    root = _root(newest)
    if not isinstance(command, list) or not command or not str(command[0]).endswith(".py"):
        return None
    if root is None:
        return None
    program, *words = words_like(newest.record)
    words = [word for word in words if not word.startswith(LEFT_OUT)]
    is_usual = root.resolve() == RUNS_FOLDER.resolve()
    return [program, *words, *([] if is_usual else [f"paths.runs={_quoted(str(root))}"])]


def _quoted(text: str) -> str:
    """A value as Hydra reads it: quoted unless it is all of characters that mean nothing there."""
    if re.fullmatch(r"[\w./-]+", text, re.ASCII):
        return text
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return f'"{escaped}"'


def _root(run: RunFacts) -> Path | None:
    """The folder that has to be paths.runs for a run beside this one; None where there is none."""
    group = Path(run.group).parts
    folders = run.path.parent.parts
    if folders[-len(group) :] != group:
        return None
    return Path(*folders[: -len(group)])
