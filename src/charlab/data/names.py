"""A corpus of separate items, one a line: read, cleaned, deduplicated, then split.

Imports no torch, so a mistake in a file is found before torch is loaded. Ids are the vocabulary's
affair, batches the data module's.
"""

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import final

from charlab.config.schema_data import NamesConfig
from charlab.data.compressed import blocks
from charlab.data.order import shuffled
from charlab.data.splits import check_fractions
from charlab.data.textfile import check_file, check_sha256, decoded, read_bytes
from charlab.errors import UsageError

BUNDLED = Path(__file__).with_name("bundled") / "names.txt"


@final
@dataclass(frozen=True)
class NamesCorpus:
    """The splits, disjoint since the items were deduplicated before they were split.

    source          the file, or "bundled"
    num_lines       lines of the file, blank ones too
    num_blank       lines with nothing but white space
    num_duplicates  lines that repeat an earlier one
    fill            the letter that fills all items up to one length, and is scored as theirs
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    source: str
    num_lines: int
    num_blank: int
    num_duplicates: int
    fill: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of a sha256 over the items of each split, in their order."""
        splits = json.dumps([self.train, self.val, self.test], ensure_ascii=False)
        return hashlib.sha256(splits.encode()).hexdigest()[:16]


def check_names_config(config: NamesConfig) -> None:
    """The cheap half of `read_names`: UsageError for the path or the fractions. Reads no data."""
    check_fractions(config.val_fraction, config.test_fraction, usual=0.1)
    if config.fill is not None and len(config.fill) != 1:
        raise UsageError(
            "data.fill is one letter",
            expected="a single character, such as s, or null",
            got=repr(config.fill),
            hint="data.fill=s",
            option="data.fill",
        )
    check_file(_path(config), "data.path")


def _path(config: NamesConfig) -> Path:
    return BUNDLED if config.path is None else Path(config.path).expanduser()


def read_names(config: NamesConfig) -> NamesCorpus:
    """The corpus that `config` describes; UsageError says what is wrong with the file."""
    check_names_config(config)
    path = _path(config)
    stored = read_bytes(path, "data.path")
    if config.path is None:
        _check_bundled(stored, config.bundled_sha256)
    if config.sha256 is not None:
        check_sha256(stored, config.sha256, path, "data.sha256")
    raw = b"".join(blocks(BytesIO(stored), path, "data.path"))
    lines = decoded(raw, path, "data.path").split("\n")
    if lines[-1] == "":  # the end of the last line, not a line
        lines.pop()
    items = [unicodedata.normalize("NFC", line).strip() for line in lines]
    _check_lengths(items, config.max_length, path)
    num_blank = items.count("")
    distinct = sorted(set(items) - {""})
    train, val, test = _split(distinct, config, path)
    width = 0 if config.fill is None else max(map(len, distinct))
    fill = config.fill or " "  # to a width of 0 nothing is filled
    return NamesCorpus(
        train=tuple(item.ljust(width, fill) for item in train),
        val=tuple(item.ljust(width, fill) for item in val),
        test=tuple(item.ljust(width, fill) for item in test),
        source="bundled" if config.path is None else str(path),
        num_lines=len(items),
        num_blank=num_blank,
        num_duplicates=len(items) - num_blank - len(distinct),
        fill=config.fill,
    )


def _check_bundled(stored: bytes, expected: str) -> None:
    got = hashlib.sha256(stored).hexdigest()
    if got != expected:
        raise UsageError(
            "the bundled list of names was changed",
            expected=f"sha256 {expected}",
            got=f"sha256 {got} in {BUNDLED}",
            hint="install charlab again (git checkout the file, with LF line ends), or give a "
            "list of your own with data.path=FILE",
            option="data.path",
        )


def _check_lengths(items: list[str], max_length: int, path: Path) -> None:
    for line_number, item in enumerate(items, 1):
        if len(item) > max_length:
            raise UsageError(
                f"line {line_number:,} of {path} is too long",
                expected=f"at most data.max_length={max_length} characters, one item a line",
                got=f"{len(item):,} characters: {item[:40]!r}...",
                hint=f"data.max_length={len(item)}, or mend the file",
                option="data.max_length",
            )


def _split(
    distinct: list[str], config: NamesConfig, path: Path
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Train, val, test: the shuffled items, cut; val and test are rounded to whole items."""
    num_val = round(len(distinct) * config.val_fraction)
    num_test = round(len(distinct) * config.test_fraction)
    num_train = len(distinct) - num_val - num_test
    if min(num_train, num_val, num_test) < 1:
        raise UsageError(
            f"{path} holds too few items to split",
            expected="at least one distinct item each in train, val and test",
            got=f"{len(distinct)} distinct, cut into {num_train} train, {num_val} val and "
            f"{num_test} test (data.val_fraction={config.val_fraction}, "
            f"data.test_fraction={config.test_fraction})",
            hint="give a longer file with data.path"
            + (", or larger fractions" if len(distinct) > 2 else ""),
            option="data.path",
        )
    order = shuffled(len(distinct), config.split_seed)
    items = tuple(distinct[index] for index in order)
    return (
        items[:num_train],
        items[num_train : num_train + num_val],
        items[num_train + num_val :],
    )
