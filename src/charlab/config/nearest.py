"""What a misspelt name probably meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher

# Below this similarity a guess is more often wrong than right.
CUTOFF = 0.6
MOST_GUESSES = 3


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """The names that `word` most resembles: those that tie for the best, at most three."""
    return _best({candidate: _similarity(word, candidate) for candidate in candidates})


def nearest_options(name: str, candidates: Iterable[str]) -> list[str]:
    """As `nearest`, for dotted names: the last part counts most, and a prefix may be missing."""
    return _best({candidate: _dotted_similarity(name, candidate) for candidate in candidates})


def did_you_mean(guesses: list[str]) -> str:
    """The end of a sentence, empty where there is no guess."""
    if not guesses:
        return ""
    *others, last = guesses
    return f"; did you mean {', '.join(others)} or {last}?" if others else f"; did you mean {last}?"


def _best(scores: dict[str, float]) -> list[str]:
    best = max(scores.values(), default=0.0)
    if best < CUTOFF:
        return []
    return [name for name, score in scores.items() if score == best][:MOST_GUESSES]


def _similarity(word: str, candidate: str) -> float:
    """1 for equal. A beginning (`bf16` of `bf16-mixed`) counts nearly as much as the whole."""
    word, candidate = word.lower(), candidate.lower()
    whole = SequenceMatcher(None, word, candidate).ratio()
    if len(word) < 2:
        return whole
    start = SequenceMatcher(None, word, candidate[: len(word)]).ratio()
    return max(whole, 0.9 * start)


def _dotted_similarity(name: str, candidate: str) -> float:
    prefix, _, leaf = name.replace("/", ".").rpartition(".")
    candidate_prefix, _, candidate_leaf = candidate.rpartition(".")
    leaf_score = _similarity(leaf, candidate_leaf)
    if leaf_score < CUTOFF:
        return 0.0
    if candidate_prefix and not prefix:
        return 0.9 * leaf_score
    prefix_score = SequenceMatcher(None, prefix, candidate_prefix).ratio() if prefix else 1.0
    return 0.7 * leaf_score + 0.3 * prefix_score
