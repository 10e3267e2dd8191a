"""Files with anything at all in them: read, or refused in one message."""

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.config.schema_data import NamesConfig, TextConfig
from charlab.data.names import read_names
from charlab.data.report import SilentReport
from charlab.data.stream_corpus import read_stream
from charlab.errors import UsageError
from charlab.listing.entries import Listing
from charlab.reading.checked import checked_record
from charlab.rows import keep_until, parsed

SOME = settings(max_examples=40, deadline=None)

# bytes, and what looks more like a text or like rows
TEXTS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(str.encode),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=20, max_size=60).map(
        lambda lines: "\n".join(lines).encode()
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {"step": st.integers(0, 20)},
    optional={"val/bpc": VALUES, "test/bpc": VALUES, "seconds": VALUES, "text": st.text()},
)
# entries of run.json that a list shows
NAMES = (
    "started",
    "ended",
    "scores",
    "group",
    "error",
    "num_steps",
    "total_steps",
    "config_hash",
)
LINES = st.one_of(
    ROWS.map(json.dumps),
    ROWS.map(lambda row: json.dumps(row, ensure_ascii=False)).map(lambda line: line[:-3]),
    VALUES.map(json.dumps),
    st.text(max_size=20).map(lambda text: text.replace("\n", "")),
).map(lambda line: line.encode("utf-8", "replace"))


@SOME
@given(content=TEXTS)
def test_any_list_of_names_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "names.txt")
        path.write_bytes(content)
        try:
            corpus = read_names(NamesConfig(path=str(path)))
        except UsageError as error:
            assert str(path) in str(error) or "train" in str(error)
            return
        items = [*corpus.train, *corpus.val, *corpus.test]
        assert (
            len(items)
            == len(set(items))
            == corpus.num_lines - corpus.num_blank - (corpus.num_duplicates)
        )
        assert min(map(len, (corpus.train, corpus.val, corpus.test))) > 0
        assert not any("\n" in item or item != item.strip() for item in items)


@SOME
@given(content=TEXTS, repeats=st.integers(1, 200), symbols=st.sampled_from(["bytes", "chars"]))
def test_any_text_is_read_or_refused(content, repeats, symbols):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text")
        path.write_bytes(content * repeats)
        config = TextConfig(path=str(path), symbols=symbols)
        try:
            corpus = read_stream(config, Path(folder, "cache"), SilentReport())
        except UsageError:
            return
        assert corpus.byte_cuts[-1] == len(content) * repeats
        assert list(corpus.byte_cuts) == sorted(corpus.byte_cuts)


@SOME
@given(lines=st.lists(LINES, max_size=12), rest=st.binary(max_size=20), step=st.integers(0, 20))
def test_rows_are_kept_up_to_a_step_whatever_is_between_them(lines, rest, step):
    content = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b"")
    expected = [
        row
        for row in parsed(lines)
        if row["step"] <= step and not any(name.startswith("test/") for name in row)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.jsonl")
        path.write_bytes(content)
        keep_until(path, step)
        kept = path.read_bytes() if path.exists() else b""
        # as texts, for which NaN is NaN
        assert list(map(json.dumps, parsed(kept.splitlines()))) == list(map(json.dumps, expected))
        assert kept == b"" or kept.endswith(b"\n")
        assert len(kept.split(b"\n")) - 1 == len(expected)
        if path.exists():
            keep_until(path, step)
            assert path.read_bytes() == kept


@SOME
@given(
    record=st.one_of(
        st.binary(max_size=80),
        st.fixed_dictionaries(
            {"status": st.sampled_from(["running", "finished", "failed", "preempted"])},
            optional=dict.fromkeys(NAMES, VALUES),
        ).map(lambda record: json.dumps(record).encode()),
    ),
    lines=st.lists(LINES, max_size=6),
)
def test_a_run_with_anything_in_it_is_listed_or_told(record, lines):
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "group", "run")
        run.mkdir(parents=True)
        (run / "run.json").write_bytes(record)
        (run / "metrics.jsonl").write_bytes(b"\n".join(lines))
        try:
            checked_record(run)
        except UsageError:
            is_record = False
        else:
            is_record = True
        listed = Listing([], Path(folder)).look()
        assert (len(listed.entries), len(listed.unreadable)) == (is_record, not is_record)
        for entry in listed.entries:
            json.dumps(entry.to_plain())
