"""The command line of train.py: read it, compose, check, then hand over to the job.

Nothing here imports torch, Lightning or W&B: a mistake, `--help` and `--cfg job` take less than a
second, and the job loads what it needs.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Never, NoReturn, final

from omegaconf import DictConfig, OmegaConf, open_dict

from charlab.config.compose import Composer
from charlab.config.help import help_page
from charlab.config.nearest import did_you_mean, nearest_options
from charlab.config.options import all_options, sections
from charlab.config.references import resolve
from charlab.errors import CharlabError, OutOfMemory, UsageError
from charlab.lifeline import end_with_parent
from charlab.resume import Asked
from charlab.sweeps.jobs import Job as SweepJob
from charlab.sweeps.task import SweepTask
from charlab.terminal import console, take_any_character, tell

# What train.py does with a checked configuration, the overrides that led to it, and what is asked
# about runs of it that there are already.
Job = Callable[[DictConfig, Sequence[str], Asked], None]

INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def run(job: Job, script: str) -> NoReturn:
    """Run the command line of `script`, which has conf/ beside it, and exit.

    Exit code 2 for a mistake in the command line or in a file of conf/, that of the CharlabError
    that the job raises, 0 when it returns. Other exceptions pass through.
    """
    take_any_character()
    sys.exit(main(sys.argv[1:], job, Path(script).resolve()))


def main(argv: Sequence[str], job: Job, script: Path) -> int:
    """As `run`, returning the exit code."""
    try:
        return _dispatch(argv, job, script)
    except CharlabError as error:
        return tell(error)
    except BrokenPipeError:  # `python train.py --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (RuntimeError, MemoryError, OSError) as error:
        if (told := OutOfMemory.of(error)) is None:
            raise
        return tell(told)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _dispatch(argv: Sequence[str], job: Job, script: Path) -> int:
    flags = _parse(argv)
    overrides: list[str] = flags.overrides
    extra_conf = None if flags.config_dir is None else Path(flags.config_dir).resolve()
    composer = Composer(script.parent / "conf", flags.config_name, extra_conf)
    if flags.help:
        print(help_page(composer, overrides))
    elif flags.cfg:
        print(_composed_yaml(composer, overrides, flags.package, flags.resolve), end="")
    elif flags.resolve or flags.package:
        raise UsageError(
            "--resolve and --package go with --cfg job", hint="python train.py --cfg job --resolve"
        )
    elif flags.info:
        composer.show_info(flags.info, overrides)
    elif flags.shell_completion:
        composer.shell_completion(overrides)
    elif flags.multirun:
        command = [sys.executable, str(script), f"--config-name={flags.config_name}"]
        if extra_conf is not None:
            command.append(f"--config-dir={extra_conf}")
        return _sweep(composer, flags, command)
    else:
        _check_flags_of_sweep(flags)
        if flags.once:
            end_with_parent()  # a sweep
        job(_checked(composer, overrides)[0], overrides, Asked(flags.once, flags.retry_failed))
    return 0


def _check_flags_of_sweep(flags: argparse.Namespace) -> None:
    if flags.dry_run:
        raise UsageError("--dry-run goes with -m", hint="python train.py -m OPTION=A,B,C --dry-run")
    if flags.retry_failed and not flags.once:
        raise UsageError(
            "--retry-failed goes with --once, or with -m",
            expected="a run that failed does not keep a plain command from making another",
            got="--retry-failed alone",
            hint="leave it out",
        )


def _sweep(composer: Composer, flags: argparse.Namespace, command: Sequence[str]) -> int:
    """Check all jobs, then list them or have them run. Returns the exit code."""
    if flags.once:
        raise UsageError("--once is for one run, and -m for several", hint="-m without --once")
    lines = composer.jobs(flags.overrides)
    jobs = []
    for number, line in enumerate(lines, 1):
        plain = _checked_job(composer, line, f"job {number} of {len(lines)}: ")
        jobs.append(SweepJob(tuple(line), plain))
    task = SweepTask(command, jobs, flags.retry_failed)
    none_failed = flags.dry_run or composer.launch(task, lines, flags.overrides)
    if task.exit_code is None:  # our launchers show what became of each job by themselves
        from charlab.sweeps.report import list_jobs

        list_jobs(console(), jobs)
    return int(not none_failed) if task.exit_code is None else task.exit_code


def _checked(composer: Composer, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    config, plain = composer.compose_job(overrides)
    from charlab.data.check import check_data_config  # 0.2 s, for numpy

    check_data_config(config.data)
    return config, plain


def _checked_job(composer: Composer, overrides: Sequence[str], where: str) -> dict[str, Any]:
    try:
        return _checked(composer, overrides)[1]
    except UsageError as error:
        raise UsageError(
            where + error.what,
            expected=error.expected,
            got=error.got,
            hint=error.hint,
            option=error.option,
        ) from error


def _composed_yaml(
    composer: Composer, overrides: Sequence[str], section: str | None, is_resolved: bool
) -> str:
    """The configuration as it was composed, out of range or not: this is where one looks why."""
    config = composer.compose_unchecked(overrides)
    with open_dict(config):
        del config["hydra"]
    if is_resolved:
        resolve(config)
    shown = config
    if section is not None:
        shown = OmegaConf.select(config, section, default=None)
        if not isinstance(shown, DictConfig):
            names = list(sections())
            raise UsageError(
                f"{section} is not a section{did_you_mean(nearest_options(section, names))}",
                expected=f"one of {', '.join(names)}",
                got=f"--package {section}",
            )
    return OmegaConf.to_yaml(shown)


@final
class _Parser(argparse.ArgumentParser):
    """Raises its errors in the form that all others have."""

    def error(self, message: str) -> Never:
        raise UsageError(message, hint="python train.py --help")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--retry-failed", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job"])
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument("--info", "-i", nargs="?", const="defaults-tree", choices=INFO)
    parser.add_argument("--config-name", "-cn", default="config")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    flags, unknown = parser.parse_known_intermixed_args(list(argv))
    if unknown:
        raise _unknown_flag(unknown[0])
    return flags


def _unknown_flag(flag: str) -> UsageError:
    name, _, value = flag.lstrip("-").partition("=")
    guesses = [name] if name in all_options() else nearest_options(name, all_options())
    return UsageError(
        f"{flag} is not a flag",
        expected="options without dashes: OPTION=VALUE",
        got=flag,
        hint=f"{guesses[0]}={value or 'VALUE'}" if guesses else "python train.py --help",
        option=name,
    )
