"""What is told about a corpus, and the picture of its lengths."""

import errno
import io
import os
from itertools import groupby

import matplotlib.image
import pytest
from rich.console import Console

from charlab.config.schema_data import NamesConfig
from charlab.data.dataset import describe_dataset
from charlab.data.describe import describe_names
from charlab.data.names import NamesCorpus, read_names
from charlab.data.report import SilentReport
from charlab.data.vocabulary import Vocabulary
from charlab.errors import UsageError

CORPUS = NamesCorpus(
    train=("aab", "a b", "[red]b", "bbbbbb"),
    val=("abx", "xy"),
    test=("ab",),
    source="lists/[bold]$made$.txt",
    num_lines=12,
    num_blank=2,
    num_duplicates=3,
)


def told(corpus, histogram_path=None):
    console = Console(file=io.StringIO(), width=100)
    describe_names(corpus, Vocabulary.of(corpus.train), console, histogram_path)
    lines = console.file.getvalue().splitlines()
    return {line[:12].strip(): line[12:].strip() for line in lines}


def test_every_fact_by_hand():
    assert told(CORPUS) == {
        "source": "lists/[bold]$made$.txt",
        "lines": "12: 7 distinct items, 3 duplicates and 2 blank lines dropped",
        "splits": "4 train, 2 val, 1 test",
        "lengths": "mean 3.57, longest 6",
        "longest": "[red]b",
        "examples": "aab, a b, [red]b, bbbbbb",
        "characters": "8 distinct in train:  []abder",
        # 18 characters in train
        "commonest": "b:50.0%, a:16.7%, space:5.6%, [:5.6%, ]:5.6%, d:5.6%, e:5.6%, r:5.6%",
        "val lacks": "x y: 3 of 7 targets are unknown",
        "test lacks": "nothing: train has all its characters",
    }


def test_the_bars_of_the_histogram_are_as_high_as_the_counts(tmp_path):
    path = tmp_path / "new" / "lengths.png"
    assert told(CORPUS, path)["histogram"].startswith("/")
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[:2] == (675, 1200)
    is_bar = abs(pixels[..., :3] - [0x4C / 255, 0x78 / 255, 0xA8 / 255]).max(-1) < 0.01
    heights = is_bar.sum(0)
    bars = [list(run) for is_there, run in groupby(heights, bool) if is_there]
    # Lengths 2 and 3, nothing at 4 and 5, then 6.
    unit = bars[0][10] / 2
    assert [bar[10] / unit for bar in bars] == pytest.approx([2, 3, 2], abs=0.05)


def described(folder, console):
    """What `charlab data names` does."""
    config, picture = NamesConfig(name="names"), folder / "lengths.png"
    describe_dataset(config, folder / "cache", console, SilentReport(), picture)


def test_only_a_picture_that_cannot_be_written_is_said_to_be_one(tmp_path, monkeypatch):
    console = Console(file=io.StringIO())
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="the picture cannot be written to") as caught:
        described(tmp_path / "file", console)
    assert caught.value.got == os.strerror(errno.EEXIST)  # of the folder that is to be made
    assert "-o FILE.png" in caught.value.hint

    def broken(config):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("charlab.data.dataset.read_names", broken)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        described(tmp_path, console)


def test_the_bundled_list_is_described(tmp_path):
    facts = told(read_names(NamesConfig(name="names")), tmp_path / "lengths.png")
    assert facts["source"] == "bundled"
    assert facts["splits"] == "13,893 train, 1,737 val, 1,737 test"
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")
