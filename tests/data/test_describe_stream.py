"""What is told about a stream, and the picture of its floors."""

import io
from itertools import groupby
from math import log

import matplotlib.image
import pytest
from rich.console import Console

from charlab.config.schema_data import TextConfig
from charlab.data import describe_stream as module
from charlab.data.describe_stream import describe_stream
from charlab.data.floors import Floor, Floors
from charlab.data.report import SilentReport
from charlab.data.stream_corpus import read_stream

TRAIN = "aéé [b]b \n\nthe rest aaa\x07"  # é is two bytes
VAL = "xé\taz"
TEST = "abé\n"
FLOORS = Floors(
    ngrams={1: Floor(4 * log(2), 2 * log(2)), 2: Floor(3 * log(2), 1 * log(2))},
    compressors={"gzip": Floor(2 * log(2), 2.5 * log(2))},
    note="n-grams fitted on a part",
)


def told(tmp_path, floors=FLOORS, **options):
    path = tmp_path / "[bold]$text$.txt"
    path.write_bytes((TRAIN + VAL + TEST).encode())
    config = TextConfig(name="text", path=str(path), val_bytes=6, test_bytes=5, **options)
    corpus = read_stream(config, tmp_path / "cache", SilentReport())
    console = Console(file=io.StringIO(), width=1000)
    picture = tmp_path / "new" / "floors.png"
    describe_stream(corpus, floors, console, picture)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    rows = [(line[:16].strip(), line[16:]) for line in lines]
    return corpus, picture, rows


def test_every_fact_about_characters_by_hand(tmp_path):
    corpus, picture, rows = told(tmp_path, symbols="chars")
    assert rows == [
        ("source", str(corpus.raw)),
        ("size", f"37 bytes, sha256 {corpus.content_sha256}"),
        ("train/val/test", "26 / 6 / 5 bytes"),
        ("", "24 / 5 / 4 characters"),
        ("vocabulary", "14 symbols: the 13 characters of train, and one for all others"),
        ("val unknown", "3 of its 5 symbols (60.000%)"),
        ("test unknown", "none: train has all its symbols"),
        # 24 characters in train
        (
            "commonest",
            "space:16.7%, a:16.7%, \\n:8.3%, b:8.3%, e:8.3%, t:8.3%, é:8.3%, "
            "\\x07:4.2%, [:4.2%, ]:4.2%, h:4.2%, r:4.2%",
        ),
        ("train begins", "aéé [b]b \\n\\nthe rest aaa\\x07"),
        (
            "val begins",
            "\N{REPLACEMENT CHARACTER}é\N{REPLACEMENT CHARACTER}a\N{REPLACEMENT CHARACTER}",
        ),
        ("test begins", "abé\\n"),
        ("bits per char", "on val and test, compressors alone with each: beat them"),
        ("1-gram", "4.000  2.000"),
        ("2-gram", "3.000  1.000"),
        ("gzip", "2.000  2.500"),
        ("", "n-grams fitted on a part"),
        ("picture", str(picture)),
    ]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_bytes_that_are_no_character_show_as_numbers(tmp_path, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK_SYMBOLS", block)
    whole = Floors(FLOORS.ngrams, FLOORS.compressors, note="")
    _, _, rows = told(tmp_path, whole)
    facts = dict(rows)
    assert facts["vocabulary"] == "256 symbols: all bytes; 14 of them occur in train"
    assert facts["commonest"] == (  # of 26 bytes
        "space:15.4%, a:15.4%, \\n:7.7%, b:7.7%, e:7.7%, t:7.7%, \\xa9:7.7%, \\xc3:7.7%, "
        "\\x07:3.8%, [:3.8%, ]:3.8%, h:3.8%"
    )
    assert "bits per byte" in facts
    assert not {"", "val unknown"} & facts.keys()
    _, _, rows = told(tmp_path, vocabulary="own")
    assert dict(rows)["vocabulary"] == "15 symbols: the 14 bytes of train, and one for all others"
    assert dict(rows)["val unknown"] == "3 of its 6 symbols (50.000%)"


def test_the_bars_are_as_high_as_the_floors(tmp_path):
    _, picture, _ = told(tmp_path)
    pixels = matplotlib.image.imread(picture)
    heights = {}
    for split, colour in (("val", 0x4C78A8), ("test", 0xE07B39)):
        parts = [(colour >> shift & 0xFF) / 255 for shift in (16, 8, 0)]
        is_bar = abs(pixels[..., :3] - parts).max(-1) < 0.01
        from_bottom = is_bar[is_bar.any(1).nonzero()[0].max() :: -1]
        columns = from_bottom.cumprod(0).sum(0)  # without the legend, which stands above the bars
        runs = [list(run) for is_there, run in groupby(columns, bool) if is_there]
        heights[split] = [run[10] for run in runs]
    unit = heights["val"][0] / 4
    assert [height / unit for height in heights["val"]] == pytest.approx([4, 3, 2], abs=0.05)
    assert [height / unit for height in heights["test"]] == pytest.approx([2, 1, 2.5], abs=0.05)
