"""How good sampled items are, as a crowd: ended, legal, unique, new."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypedDict

from charlab.data.names import NamesCorpus


class Quality(TypedDict):
    """Parts of all samples, but for num_samples. A usable sample ended and is legal.

    ended     the model ended it by itself
    legal     not empty, no white space around it, only characters that train has
    unique    distinct usable samples / samples
    novel     usable samples that train does not have / samples
    held_out  distinct items of validation and test that were sampled / their number
    lengths   how many ended samples have 0, 1, 2, ... characters
    """

    num_samples: int
    ended: float
    legal: float
    unique: float
    novel: float
    held_out: float
    lengths: list[int]


def names_quality(texts: Sequence[str], ended: Sequence[bool], corpus: NamesCorpus) -> Quality:
    """Quality of samples against the corpus their model was trained on."""
    known = set(corpus.train)
    letters = set().union(*corpus.train)
    legal = [bool(text) and text == text.strip() and letters.issuperset(text) for text in texts]
    usable = [text for text, ok, end in zip(texts, legal, ended, strict=True) if ok and end]
    held_out = set(corpus.val) | set(corpus.test)
    num_samples = len(texts)
    return Quality(
        num_samples=num_samples,
        ended=sum(ended) / num_samples,
        legal=sum(legal) / num_samples,
        unique=len(set(usable)) / num_samples,
        novel=sum(text not in known for text in usable) / num_samples,
        held_out=len(held_out & set(usable)) / len(held_out),
        lengths=lengths(text for text, end in zip(texts, ended, strict=True) if end),
    )


def lengths(texts: Iterable[str]) -> list[int]:
    """How many texts have 0, 1, 2, ... characters, up to the longest."""
    counted = Counter(map(len, texts))
    return [counted[length] for length in range(max(counted, default=-1) + 1)]
