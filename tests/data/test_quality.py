"""Sample quality by hand."""

from charlab.data.names import NamesCorpus
from charlab.data.quality import names_quality

CORPUS = NamesCorpus(
    ("ann", "bob"), ("ban",), ("nab", "oba"), "made up", num_lines=5, num_blank=0, num_duplicates=0
)


def test_quality_by_hand():
    texts = ["ann", "ban", "ban", "", " nab", "xan", "boo", "nobo"]
    ended = [True, True, True, True, True, True, True, False]
    quality = names_quality(texts, ended, CORPUS)
    # not legal: "", " nab" (white space), "xan" (no x in train); "nobo" was cut
    assert quality == {
        "num_samples": 8,
        "ended": 7 / 8,
        "legal": 5 / 8,
        "unique": 3 / 8,  # ann, ban, boo
        "novel": 3 / 8,  # ban twice, boo
        "held_out": 1 / 3,  # ban of ban, nab, oba
        "lengths": [1, 0, 0, 5, 1],  # without "nobo"
    }
