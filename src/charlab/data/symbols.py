"""The symbols of a stream: bytes or characters. Imports no torch.

Which ones a corpus has is the affair of `encode.py`.
"""

import codecs
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
from numpy.typing import NDArray

Kind = Literal["bytes", "chars"]
NUM_BYTES = 256
NUM_CODE_POINTS = 0x110000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@final
@dataclass(frozen=True)
class StreamVocabulary:
    """An id is an index into `symbols`; one more, where `has_unknown`, stands for all others.

    symbols  byte values, or code points, in rising order
    """

    kind: Kind
    symbols: tuple[int, ...]
    has_unknown: bool

    # A stream has no documents: nothing opens or ends a text.
    eos_id: ClassVar[None] = None

    def __post_init__(self) -> None:
        limit = NUM_BYTES if self.kind == "bytes" else NUM_CODE_POINTS
        if (
            self.kind not in ("bytes", "chars")
            or not self.symbols
            or list(self.symbols) != sorted(set(self.symbols))
            or not 0 <= self.symbols[0] <= self.symbols[-1] < limit
        ):
            raise ValueError(
                f"the vocabulary of a stream is bytes or chars, each symbol once, in rising order "
                f"and below {limit:#x}; got {self.kind} {list(self.symbols)[:10]}"
            )

    @classmethod
    def all_bytes(cls) -> Self:
        """All 256 bytes: no text can hold another."""
        return cls("bytes", tuple(range(NUM_BYTES)), has_unknown=False)

    @classmethod
    def of(cls, kind: Kind, symbols: Iterable[int]) -> Self:
        """The symbols that train has, and the unknown one."""
        return cls(kind, tuple(sorted({int(symbol) for symbol in symbols})), has_unknown=True)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The vocabulary that `to_plain` wrote; ValueError, KeyError or TypeError for others."""
        return cls(plain["kind"], tuple(plain["symbols"]), bool(plain["has_unknown"]))

    def to_plain(self) -> dict[str, Any]:
        """Plain containers, fit for a checkpoint that loads with `weights_only=True`."""
        return {
            "kind": self.kind,
            "symbols": list(self.symbols),
            "has_unknown": self.has_unknown,
        }

    def __len__(self) -> int:
        return len(self.symbols) + self.has_unknown

    @property
    def unit(self) -> str:
        """What a symbol is called: "byte" or "char"."""
        return self.kind.removesuffix("s")

    @property
    def unknown_id(self) -> int | None:
        return len(self.symbols) if self.has_unknown else None

    @property
    def unsampled_ids(self) -> tuple[int, ...]:
        """Ids that are no text: a sampler gives them probability zero."""
        return (len(self.symbols),) if self.has_unknown else ()

    @property
    def table(self) -> NDArray[np.int64]:
        """The id of every byte value or code point: [256] or [0x110000]."""
        size = NUM_BYTES if self.kind == "bytes" else NUM_CODE_POINTS
        # without an unknown symbol every byte has its own id, and the filling is never seen
        ids = np.full(size, len(self.symbols) if self.has_unknown else 0, np.int64)
        ids[list(self.symbols)] = np.arange(len(self.symbols))
        return ids

    @cached_property
    def _ids(self) -> dict[int, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    def encode(self, text: str) -> list[int]:
        """One id a symbol of the text."""
        if self.kind == "bytes":
            # a command line stands for bytes that are no UTF-8 by surrogates
            values = list(text.encode("utf-8", "surrogateescape"))
        else:
            values = [ord(char) for char in text]
        return [self._ids.get(value, len(self.symbols)) for value in values]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; the unknown symbol and what is not UTF-8 show as U+FFFD.

        A character that the last bytes leave unfinished is left out.
        """
        if self.kind == "chars":
            known = [chr(symbol) for symbol in self.symbols]
            return "".join(known[i] if i < len(known) else REPLACEMENT for i in ids)
        unknown = 0xFF  # in no UTF-8 text
        values = bytes(self.symbols[i] if i < len(self.symbols) else unknown for i in ids)
        return codecs.getincrementaldecoder("utf-8")("replace").decode(values)

    def clean_prompt(self, prompt: str) -> str:
        """As it is: white space is text."""
        return prompt

    def prompt_ids(self, prompt: str) -> list[int]:
        """What a model reads before it goes on: the prompt, a line break where that is empty."""
        return self.encode(prompt or "\n")

    def unknown(self, text: str) -> list[str]:
        """The distinct characters of `text` that the model has no symbol for."""
        return [char for char in dict.fromkeys(text) if self.unknown_id in self.encode(char)]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of a sha256: equal exactly where ids mean the same."""
        return hashlib.sha256(json.dumps(self.to_plain()).encode()).hexdigest()[:16]
