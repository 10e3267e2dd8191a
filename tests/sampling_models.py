"""Models and vocabularies to sample from, whose distributions are known exactly."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from charlab.data.vocabulary import Vocabulary
from charlab.sampling import sample

VOCABULARY = Vocabulary.of(["abcdefghij", " "])
PAD, BOS, EOS, UNK = range(4)
V = len(VOCABULARY)
CHARACTERS = "".join(VOCABULARY.characters)


class Letters:
    """A vocabulary of bare letters: nothing opens a text, ends it or is banned."""

    eos_id = None
    unsampled_ids = ()

    def encode(self, text):
        return [ord(letter) - ord("a") for letter in text]

    def clean_prompt(self, prompt):
        return prompt

    def prompt_ids(self, prompt):
        return self.encode(prompt)

    def decode(self, ids):
        return "".join(chr(ord("a") + index) for index in ids)


class Sum(NamedTuple):
    sum_B: Tensor


class TableModel:
    """Logits are row (sum of all ids read so far, modulo the rows) of a table: all of it matters.

    fed holds the shape of every chunk that it was given.
    """

    def __init__(self, table, fail_at=None):
        self.table = torch.as_tensor(table, dtype=torch.float32)
        self.training = True
        self.fed = []
        self.fail_at = fail_at

    def initial_state(self, batch_size):
        return (Sum(torch.zeros(batch_size, dtype=torch.int64)),)

    def __call__(self, tokens_TB, state):
        assert not self.training
        self.fed.append(tuple(tokens_TB.shape))
        if len(self.fed) == self.fail_at:
            raise RuntimeError("out of memory")
        sums_TB = state[0].sum_B + tokens_TB.cumsum(0)
        return self.table[sums_TB % len(self.table)], (Sum(sums_TB[-1]),)

    def stepper(self, state):
        def step(ids_N):
            nonlocal state
            logits_1NV, state = self(ids_N[None], state)
            return logits_1NV[0]

        return step

    def eval(self):
        return self.train(False)

    def train(self, mode=True):
        self.training = mode
        return self


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_table(rows=7, width=V, seed=3, scale=2.0):
    return scale * torch.randn(rows, width, generator=generator(seed))


def constant(logits):
    """A model that answers the same whatever it read."""
    return TableModel(torch.as_tensor(logits)[None])


def frequencies(logits, number=20_000, codec=VOCABULARY, **options):
    """How often each id came first, in as many samples of one symbol."""
    drawn = sample(
        constant(logits), codec, generator(), num_samples=number, max_length=1, **options
    )
    counts = np.zeros(len(logits))
    for one in drawn:
        counts[EOS if one.ended else codec.encode(one.text)[0]] += 1
    return counts
