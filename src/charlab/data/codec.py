"""The vocabulary of any data set, from the plain containers of a checkpoint."""

from collections.abc import Mapping
from typing import Any

from charlab.data.symbols import StreamVocabulary
from charlab.data.vocabulary import Vocabulary

AnyVocabulary = Vocabulary | StreamVocabulary


def vocabulary_from_plain(plain: Mapping[str, Any]) -> AnyVocabulary:
    """What `to_plain` wrote; ValueError, KeyError or TypeError where it is none."""
    if plain["kind"] == Vocabulary.kind:
        return Vocabulary.from_plain(plain)
    return StreamVocabulary.from_plain(plain)
