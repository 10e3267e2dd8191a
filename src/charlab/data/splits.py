"""Where a text is cut into train, val and test: by position, in bytes."""

from typing import Literal

from charlab.config.schema_data import StreamConfig
from charlab.errors import UsageError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

# 0, the end of train, the end of val, the end of test
Cuts = tuple[int, int, int, int]

# An input and its target.
MIN_SYMBOLS = 2


def check_fractions(val: float, test: float, usual: float) -> None:
    """UsageError where nothing would be left to train on; `usual` is what to try for both."""
    held_out = val + test
    if held_out >= 1:
        raise UsageError(
            "nothing is left to train on",
            expected="data.val_fraction + data.test_fraction < 1",
            got=f"{val} + {test} = {held_out:g}",
            hint=f"data.val_fraction={usual} data.test_fraction={usual}",
            option="data.val_fraction",
        )


def planned_cuts(num_bytes: int, config: StreamConfig, source: str, by_fractions: bool) -> Cuts:
    """Train first, then val, then test, of a text of num_bytes.

    by_fractions  leave data.val_bytes and data.test_bytes aside: they belong to another text
    source        the text, in words

    A fraction of the text is rounded to whole bytes. UsageError where a part is too small.
    """
    num_val, val = _held_out(num_bytes, config.val_bytes, config.val_fraction, by_fractions)
    num_test, test = _held_out(num_bytes, config.test_bytes, config.test_fraction, by_fractions)
    if num_val + num_test >= num_bytes:
        raise UsageError(
            "nothing is left to train on",
            expected=f"val and test together are shorter than {source}, {num_bytes:,} bytes",
            got=f"{num_val:,} + {num_test:,} bytes (data.val_{val} and data.test_{test})",
            hint="data.val_bytes=null data.test_bytes=null data.val_fraction=0.05 "
            "data.test_fraction=0.05",
            option=f"data.val_{val}",
        )
    cuts = (0, num_bytes - num_val - num_test, num_bytes - num_test, num_bytes)
    check_sizes(cuts, "bytes", source)
    return cuts


def _held_out(
    num_bytes: int, count: int | None, fraction: float, by_fractions: bool
) -> tuple[int, str]:
    """How many bytes, and which option says so."""
    if count is None or by_fractions:
        return round(num_bytes * fraction), "fraction"
    return count, "bytes"


def check_sizes(cuts: Cuts, unit: str, source: str) -> None:
    """UsageError unless each split has something to read and something to predict.

    unit  of the cuts, in words
    """
    sizes = sizes_of(cuts)
    if min(sizes) < MIN_SYMBOLS:
        train, val, test = sizes
        raise UsageError(
            f"{source} is too small to split",
            expected=f"at least {MIN_SYMBOLS} {unit} each in train, val and test",
            got=f"{cuts[-1]:,} {unit}, cut into {train:,} train, {val:,} val and {test:,} test",
            hint="give a longer file with data.path, or larger data.val_fraction and "
            "data.test_fraction",
            option="data.path",
        )


def sizes_of(cuts: Cuts) -> tuple[int, int, int]:
    """Of train, val and test."""
    return cuts[1] - cuts[0], cuts[2] - cuts[1], cuts[3] - cuts[2]


def in_words(cuts: Cuts) -> str:
    """The sizes of the splits: "90,000,000 / 5,000,000 / 5,000,000"."""
    return " / ".join(f"{size:,}" for size in sizes_of(cuts))
