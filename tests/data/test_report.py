"""What people see of slow work: nothing where it is quick, a bar or lines where it is not."""

import io

import pytest
from rich.console import Console

from charlab.data.report import ConsoleReport, SilentReport


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def shown(is_terminal, seconds, num_bytes=100_000_000):
    """What the console shows of ten advances, each of which took so many seconds."""
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, force_terminal=is_terminal, width=100, color_system=None)
    report = ConsoleReport(console, clock)
    with report.progress("fetching [it]", num_bytes, 10_000_000) as progress:
        for _ in range(10):
            clock.now_s += seconds
            progress.advance(1_000_000)
    report.note("done [with it]")
    return file.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_quick_work_is_not_worth_a_word(is_terminal):
    assert shown(is_terminal, seconds=0.05) == "done [with it]\n"


def test_a_log_file_gets_a_line_now_and_then():
    assert shown(False, seconds=3.0).splitlines() == [
        "fetching [it]: 11.0 of 100.0 MB",
        "fetching [it]: 15.0 of 100.0 MB",
        "fetching [it]: 19.0 of 100.0 MB",
        "done [with it]",
    ]
    assert shown(False, seconds=11.0, num_bytes=None).startswith("fetching [it]: 11.0 MB\n")


def test_a_terminal_gets_a_bar_that_goes_when_it_is_done():
    text = shown(True, seconds=3.0)
    assert "fetching [it]" in text
    assert "20.0/100.0 MB" in text
    assert text.endswith("done [with it]\n")


def test_the_bar_goes_when_the_work_fails(capsys):
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    with (
        pytest.raises(KeyboardInterrupt),
        ConsoleReport(console, clock).progress("fetching it", 100) as progress,
    ):
        clock.now_s = 5.0
        progress.advance(1)
        raise KeyboardInterrupt
    assert "\x1b[?25h" in file.getvalue()  # the cursor is shown again


def test_silence_is_silent(capsys):
    report = SilentReport()
    with report.progress("fetching it", 100) as progress:
        progress.advance(1)
    report.note("done")
    assert capsys.readouterr() == ("", "")
