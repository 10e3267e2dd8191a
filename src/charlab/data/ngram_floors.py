"""n-gram floors of a corpus of names: fitted on train, scored on val and test."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from charlab.data.floors import Floor, Floors, cached_floors
from charlab.data.names import NamesCorpus
from charlab.data.ngram import NgramModel
from charlab.data.order import Ids
from charlab.data.vocabulary import Vocabulary

ORDERS = (1, 2, 3, 4, 5)


def cached_ngram_floors(corpus: NamesCorpus, vocabulary: Vocabulary, *, cache_dir: Path) -> Floors:
    """`ngram_floors`, computed once for each corpus and split."""
    # 2: the version of the method
    path = cache_dir / f"names-floors-2-{corpus.fingerprint}-{vocabulary.fingerprint}.json"
    labels = [f"{order}-gram" for order in ORDERS]
    return cached_floors(path, labels, lambda: ngram_floors(corpus, vocabulary))


def ngram_floors(corpus: NamesCorpus, vocabulary: Vocabulary) -> Floors:
    """The floors of `ORDERS`; the targets of a name are its characters and the EOS that ends it.

    The base distribution is uniform over what can be a target: EOS, UNK and the characters.
    """
    model = NgramModel(max(ORDERS), len(vocabulary) - vocabulary.EOS)
    model.fit(*_flat(corpus.train, vocabulary))
    val_nats, num_val = model.score_orders(*_flat(corpus.val, vocabulary))
    test_nats, num_test = model.score_orders(*_flat(corpus.test, vocabulary))
    return Floors(
        ngrams={
            order: Floor(val_nats[order - 1] / num_val, test_nats[order - 1] / num_test)
            for order in ORDERS
        },
        compressors={},
        note="",
    )


def _flat(names: Sequence[str], vocabulary: Vocabulary) -> tuple[Ids, Ids]:
    """The names end to end, each between an opening mark and EOS, and their offsets.

    EOS, the first id that can be a target, becomes 0; the mark is the first id past the targets.
    """
    ids = [
        index
        for name in names
        for index in (len(vocabulary), *vocabulary.encode(name), vocabulary.EOS)
    ]
    offsets = np.cumsum([0, *(len(name) + 2 for name in names)])
    return np.array(ids, np.int64) - vocabulary.EOS, offsets
