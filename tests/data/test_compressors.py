"""Compressed sizes against the one-call functions of Python's library."""

import bz2
import gzip
import lzma
from itertools import pairwise

import numpy as np
import pytest

from charlab.data.blocks import blocks_of
from charlab.data.compressors import COMPRESSORS, compressed_sizes

ONE_CALL = {
    "gzip": lambda data: gzip.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(data, preset=6),
}


@pytest.fixture(params=[1 << 20, 1000], ids=["one block", "many blocks"])
def block_bytes(request):
    return request.param


@pytest.fixture
def file(tmp_path):
    words = np.random.default_rng(0).integers(0, 50, 4_000)
    path = tmp_path / "text"
    path.write_bytes(b" ".join(b"word%d" % word for word in words))
    return path


@pytest.mark.parametrize("span", [(0, 20_000), (137, 9_999), (5_000, 5_001)])
def test_sizes_are_those_of_the_part_alone(file, block_bytes, span):
    part = file.read_bytes()[slice(*span)]
    done = []
    sizes = compressed_sizes(file, *span, done.append, block_bytes)
    assert list(sizes) == list(COMPRESSORS)
    assert sizes == {name: len(compress(part)) for name, compress in ONE_CALL.items()}
    assert sum(done) == len(part)
    assert max(done) <= block_bytes


def test_blocks_end_to_end_are_the_part(file, block_bytes):
    data = file.read_bytes()
    cuts = [0, 1, 1, 999, 5_000, len(data)]
    for start, stop in pairwise(cuts):
        done = []
        blocks = list(blocks_of(file, start, stop, done.append, block_bytes))
        assert done == list(map(len, blocks))
        assert b"".join(blocks) == data[start:stop]
        assert all(0 < len(block) <= block_bytes for block in blocks)
