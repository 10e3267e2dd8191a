"""The errors a user can meet, and the exit codes they end in. Imports nothing heavy."""

from pathlib import Path


class CharlabError(Exception):
    """A message for the user: what was expected, what came, what to do.

    The entry points print it without a traceback (``CHARLAB_DEBUG=1`` shows one) and exit with
    ``exit_code``.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, expected: str = "", got: str = "", hint: str = "", option: str = ""
    ) -> None:
        self.what = what
        self.expected = expected
        self.got = got
        self.hint = hint
        self.option = option
        super().__init__(str(self))

    def __str__(self) -> str:
        rows = [("expected", self.expected), ("got", self.got), ("try", self.hint)]
        return "\n".join([self.what, *(f"  {name:<9} {text}" for name, text in rows if text)])


class UsageError(CharlabError):
    """The user's mistake: a wrong option, a missing file, an unknown name. Exit code 2."""

    exit_code = 2


class TrainingDiverged(CharlabError):
    """The loss became NaN, infinite or far worse than guessing. Exit code 3."""

    exit_code = 3


class Interrupted(CharlabError):
    """The run was stopped from outside, by Ctrl-C or a signal. Exit code 130."""

    exit_code = 130


class Held(CharlabError):
    """Another process runs the run. Exit code 75 (EX_TEMPFAIL): later it may not."""

    exit_code = 75

    def __init__(self, what: str) -> None:
        super().__init__(what, hint="charlab runs --watch, which follows it")


class CannotWrite(CharlabError):
    """A file of a run cannot be written: a full disk, a broken one, a folder without permission.

    The run can go on from its last checkpoint. Exit code 1.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be written",
            expected="a folder that can be written, on a disk with room",
            got=error.strerror or str(error),
            hint="the same command again, once there is room: it goes on from the last checkpoint",
        )


class OutOfMemory(CharlabError):
    """The memory of the GPU or of the machine is too small for a run. Exit code 1."""

    def __init__(self, told: str) -> None:
        super().__init__(
            "out of memory",
            expected="memory for the model, and for each step of a window and each row of a batch",
            got=told,
            hint="a smaller data.batch_size, data.seq_len or model.hidden_size",
        )


class MissingPackage(UsageError):
    """What was asked for needs a package of an extra that is not installed. Exit code 2."""

    def __init__(self, what: str, package: str, extra: str, *, option: str = "") -> None:
        super().__init__(
            f"{what} needs {package}",
            expected=f"the extra `{extra}`",
            got=f"{package} is not installed",
            hint=f"pip install -c constraints.txt -e '.[{extra}]'",
            option=option,
        )
