"""The symbols of a corpus of separate items: four specials, then the characters of train.

Imports no torch. Which characters there are is the corpus's affair (`names.py`); tensors are the
data module's.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self, final

SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
REPLACEMENT = "\ufffd"


@final
@dataclass(frozen=True)
class Vocabulary:
    """An id is an index into `symbols`.

    PAD  fills a row of a batch past its item; never a target
    BOS  stands before the first character; never a target
    EOS  comes after the last character
    UNK  stands for a character that train lacks
    """

    symbols: tuple[str, ...]

    kind: ClassVar[str] = "items"
    PAD: ClassVar[int] = 0
    BOS: ClassVar[int] = 1
    EOS: ClassVar[int] = 2
    UNK: ClassVar[int] = 3

    def __post_init__(self) -> None:
        characters = self.symbols[len(SPECIALS) :]
        if (
            self.symbols[: len(SPECIALS)] != SPECIALS
            or list(characters) != sorted(set(characters))
            or any(len(character) != 1 for character in characters)
        ):
            raise ValueError(
                f"a vocabulary is {', '.join(SPECIALS)}, then single characters in the order of "
                f"their code points, each once; got {list(self.symbols)!r}"
            )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The vocabulary of the train split: its characters in the order of their code points."""
        return cls(SPECIALS + tuple(sorted(set().union(*texts))))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The vocabulary that `to_plain` wrote; ValueError, KeyError or TypeError for others."""
        return cls(tuple(plain["symbols"]))

    def to_plain(self) -> dict[str, Any]:
        """Plain containers, fit for a checkpoint that loads with `weights_only=True`."""
        return {"kind": self.kind, "symbols": list(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def characters(self) -> tuple[str, ...]:
        """What decodes to itself: the symbols without the specials."""
        return self.symbols[len(SPECIALS) :]

    @property
    def eos_id(self) -> int:
        """What a model says after the last character."""
        return self.EOS

    @property
    def unsampled_ids(self) -> tuple[int, ...]:
        """Ids that are no text and no end of it: a sampler gives them probability zero."""
        return (self.PAD, self.BOS, self.UNK)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: index for index, character in enumerate(self.characters, len(SPECIALS))}

    def encode(self, text: str) -> list[int]:
        """One id a character, UNK where train lacks it; neither BOS nor EOS is added."""
        return [self._ids.get(character, self.UNK) for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids: PAD, BOS and EOS leave nothing, UNK shows as U+FFFD."""
        shown = ("", "", "", REPLACEMENT, *self.characters)
        return "".join(shown[index] for index in ids)

    def clean_prompt(self, prompt: str) -> str:
        """Without white space before it, which the data drop too."""
        return prompt.lstrip()

    def prompt_ids(self, prompt: str) -> list[int]:
        """What a model reads before it goes on: BOS, then the prompt."""
        return [self.BOS, *self.encode(self.clean_prompt(prompt))]

    def unknown(self, text: str) -> list[str]:
        """The distinct characters of `text` that encode to UNK, in the order they appear."""
        return [character for character in dict.fromkeys(text) if character not in self._ids]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of a sha256 over the symbols: equal exactly where ids mean the same."""
        return hashlib.sha256(json.dumps(self.symbols).encode()).hexdigest()[:16]
