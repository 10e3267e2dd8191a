"""Windows of a mapped file are those of a list, and the file does not stay in memory."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.data import mapped
from charlab.data.mapped import MappedIds

DTYPES = ["u1", "<u2", "<u4"]
MIB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mapped")


def written(folder, values, dtype):
    path = folder / "symbols"
    np.array(values).astype(dtype).tofile(path)
    return path


@pytest.mark.parametrize("places", [1, 3, 1000])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), has_table=st.booleans())
def test_windows_are_those_of_a_list(folder, places, data, dtype, has_table):
    """Also where few places may be touched at a time, and in whatever order the starts come."""
    size = data.draw(st.integers(1, 3000))
    values = np.random.default_rng(size).integers(0, 256, size).tolist()
    table = np.arange(256)[::-1] * 7 if has_table else None
    expected = [int(table[value]) for value in values] if has_table else values
    num_steps = data.draw(st.integers(1, size))
    starts = data.draw(st.lists(st.integers(0, size - num_steps), min_size=1, max_size=40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "PLACE_BYTES", 64)
        patch.setattr(mapped, "MAX_PLACES", places)
        ids = MappedIds(written(folder, values, dtype), dtype, table)
        assert len(ids) == size
        for _ in range(2):
            windows_TB = ids.window_TB(np.array(starts), num_steps)
            assert windows_TB.T.tolist() == [expected[s : s + num_steps] for s in starts]
            assert windows_TB.dtype == np.int64
            assert windows_TB.flags.c_contiguous
            block = ids.block(starts[0], starts[0] + num_steps)
            assert block.tolist() == expected[starts[0] : starts[0] + num_steps]


@pytest.mark.parametrize("places", [1, 2, 5])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), num_steps=st.integers(1, 200))
def test_few_places_are_touched_between_releases(folder, places, data, num_steps):
    """Counted one by one: never more than allowed, but for what a single window touches."""
    size, place_bytes = 2000, 64
    starts = data.draw(st.lists(st.integers(0, size - num_steps), min_size=1, max_size=40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "PLACE_BYTES", place_bytes)
        patch.setattr(mapped, "MAX_PLACES", places)
        ids = MappedIds(written(folder, [0] * size, "<u2"), "<u2")
        own = max(len({(start + step) * 2 // 64 for step in range(num_steps)}) for start in starts)
        columns = []
        for group in ids._near_together(np.array(starts), num_steps):
            touched = {
                (starts[column] + step) * 2 // 64 for column in group for step in range(num_steps)
            }
            assert touched <= ids._touched
            assert len(ids._touched) <= places + own - 1
            columns += group.tolist()
    assert sorted(columns) == list(range(len(starts)))


def test_a_file_that_was_cut_short_is_our_own_mistake(tmp_path):
    path = tmp_path / "symbols"
    path.write_bytes(b"abc")
    with pytest.raises(AssertionError, match="cut short"):
        MappedIds(path, "<u2")


@pytest.mark.parametrize("bounds", [(-1, 3), (3, 3), (0, 11)])
def test_a_block_lies_within_the_file(tmp_path, bounds):
    with pytest.raises(AssertionError):
        MappedIds(written(tmp_path, range(10), "u1"), "u1").block(*bounds)


def resident_mib():
    """Pages of files that this process has mapped and resident."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssFile:\s+(\d+) kB", status)[1]) / 1024


@pytest.fixture
def large_file(tmp_path):
    """192 MiB that were written, not only made room for: the system keeps those in large pieces."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(192):
            file.write(bytes(MIB))
    yield path
    path.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_all_over_a_large_file_leaves_it_out_of_memory(large_file):
    ids = MappedIds(large_file, "u1")
    before = resident_mib()
    lanes_B = np.linspace(0, len(ids) - 1000, 512).astype(np.int64)
    generator = np.random.default_rng(0)
    for index in range(4):
        ids.window_TB(lanes_B + index * 100, 101)
        assert resident_mib() - before < 40
        ids.window_TB(generator.integers(0, len(ids) - 101, 512), 101)
        assert resident_mib() - before < 40
    for start in range(0, 192 * MIB, 4 * MIB):
        ids.block(start, start + 4 * MIB)
        assert resident_mib() - before < 40
