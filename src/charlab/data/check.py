"""What can be said of a data configuration without reading any data."""

from pathlib import Path
from typing import Any

from charlab.config.schema_data import Enwik8Config
from charlab.data.names import check_names_config
from charlab.data.splits import check_fractions
from charlab.data.textfile import check_file, empty
from charlab.errors import UsageError

ENWIK8 = ("enwik8", "enwik8_chars")


def check_data_config(config: Any) -> None:
    """UsageError for a file that is not there, or options that do not fit together.

    config  the `data` node, typed by its schema
    """
    if config.name == "names":
        check_names_config(config)
    else:
        check_stream_config(config)


def check_stream_config(config: Any) -> None:
    """The cheap half of `read_stream`.

    config  as a StreamConfig has it, its `path` too where the data set has one
    """
    if config.name == "text" and config.path is None:
        raise UsageError(
            "data=text needs a file",
            expected="data.path is the text: plain, or .zip .gz .bz2 .xz .zst",
            got="data.path=null",
            hint="data.path=FILE",
            option="data.path",
        )
    if config.name != "python_stdlib" and config.path is not None:
        path = Path(config.path).expanduser()
        check_file(path, "data.path")
        if path.stat().st_size == 0:
            raise empty(path, "data.path")
    if config.symbols == "chars" and config.vocabulary == "fixed":
        raise UsageError(
            "characters have no fixed vocabulary",
            expected="data.vocabulary=fixed is all 256 bytes",
            got="data.symbols=chars data.vocabulary=fixed",
            hint="data.vocabulary=own, or data.symbols=bytes",
            option="data.vocabulary",
        )
    _check_predict_across(config)
    _check_fractions(config)


def _check_predict_across(config: Any) -> None:
    if config.predict_across:
        return
    if config.stateful:
        raise UsageError(
            "a carried state reads across the end of a window, so the window has to predict across",
            expected="data.predict_across=false with independent windows, data.stateful=false",
            got="data.predict_across=false data.stateful=true",
            hint="data.stateful=false, or data.predict_across=true",
            option="data.predict_across",
        )
    if config.seq_len == 1:
        raise UsageError(
            "a window of one step has nothing to predict",
            expected="data.seq_len is at least 2 where windows do not predict across their end",
            got="data.seq_len=1 data.predict_across=false",
            hint="data.seq_len=100, or data.predict_across=true",
            option="data.seq_len",
        )


def has_counts_of_its_own(config: Any) -> bool:
    """Whether somebody has said how many bytes of enwik8, or of a part of it, are held out."""
    return config.name in ENWIK8 and (config.val_bytes, config.test_bytes) != (
        Enwik8Config.val_bytes,
        Enwik8Config.test_bytes,
    )


def _check_fractions(config: Any) -> None:
    """Where numbers of bytes take their place, nobody reads them."""
    # the numbers of enwik8 are not meant for what may be another text
    is_counted = config.name not in ENWIK8 or config.verify or has_counts_of_its_own(config)
    counts = (config.val_bytes, config.test_bytes)
    if is_counted and any(count is not None for count in counts):
        return
    check_fractions(config.val_fraction, config.test_fraction, usual=0.05)
