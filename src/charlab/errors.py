"""The errors a user can meet, and the exit codes they end in. Imports nothing heavy."""


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
