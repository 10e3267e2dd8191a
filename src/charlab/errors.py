"""The errors a user can meet, and the exit codes they end in. Imports nothing heavy."""

import errno
import re
import shlex
from pathlib import Path

# how torch and the libraries below it say so
NO_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory|ALLOC_FAILED")


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

    def __init__(self, what: str, run: Path) -> None:
        super().__init__(
            what, hint=f"charlab runs --watch {shlex.quote(str(run))}, which follows it"
        )


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
            expected="room for the model, and for what each row of a batch needs",
            got=told,
            hint="a smaller data.batch_size, or a smaller model",
        )

    @classmethod
    def of(cls, error: BaseException) -> "OutOfMemory | None":
        """What to say of an error that means so; None for other errors."""
        first, _, _ = str(error).strip().partition("\n")
        # torch has a class for GPUs alone, which is not imported here
        is_torchs = type(error).__name__ == "OutOfMemoryError" or (
            isinstance(error, RuntimeError) and NO_MEMORY.search(first) is not None
        )
        is_systems = isinstance(error, OSError) and error.errno == errno.ENOMEM
        if not (is_torchs or is_systems or isinstance(error, MemoryError)):
            return None
        # "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: ..."
        return cls(re.sub(r"^\[enforce fail[^]]*\] err == 0\. ", "", first) or "no room")


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
