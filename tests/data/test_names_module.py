"""The loader of names against a slow batch, its order over epochs and ranks, and its resume."""

import random
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import LightningModule, Trainer

from charlab.data.epochs import ONE_PROCESS
from charlab.data.names import NamesCorpus
from charlab.data.names_module import NamesDataModule, NamesLoader, RaggedNames
from charlab.data.order import shuffled
from charlab.data.vocabulary import Vocabulary
from charlab.errors import UsageError
from charlab.types import IGNORE
from charlab.world import World

NAMES = tuple(f"{'x' * (index % 7)}{index}" for index in range(30))
VOCABULARY = Vocabulary.of(NAMES)
CORPUS = NamesCorpus(
    NAMES[:22], NAMES[22:26], NAMES[26:], "made up", num_lines=30, num_blank=0, num_duplicates=0
)
RAGGED = RaggedNames(NAMES, VOCABULARY)

NAME_LISTS = st.lists(
    st.text("abcde", min_size=1, max_size=9), min_size=1, max_size=40, unique=True
)
PROPERTY = settings(max_examples=100, deadline=None)


def names_of(batch, vocabulary=VOCABULARY):
    """The name of each row of a batch, from its targets; "" for a row that has none."""
    return [
        vocabulary.decode([index for index in column if index != IGNORE])
        for column in batch.targets_TB.T.tolist()
    ]


def names_of_all(batches, vocabulary=VOCABULARY):
    return [name for batch in batches for name in names_of(batch, vocabulary)]


def in_order(names, batch_size, seed, epoch):
    """The order of an epoch for all ranks, their batch sizes added up, from its description."""
    order = [names[row] for row in shuffled(len(names), seed, epoch)]
    alike = []
    while order:
        pool, order = order[: 16 * batch_size], order[16 * batch_size :]
        alike += sorted(pool, key=len)
    full = len(alike) // batch_size
    batches = [alike[k * batch_size :][:batch_size] for k in shuffled(full, seed, epoch, 1)]
    return [name for batch in batches for name in batch] + alike[full * batch_size :]


def loader(seed=0, batch_size=4, world=ONE_PROCESS):
    return NamesLoader(RAGGED, batch_size, seed=seed, world=world)


# --------------------------------------------------------------------------------------- one batch
def test_a_batch_by_hand():
    names = ["ab", "b", "aba"]
    vocabulary = Vocabulary.of(names)  # a is 4, b is 5
    (batch,) = NamesLoader(RaggedNames(names, vocabulary), 3)
    # Longest first: "aba", "ab", "b". PAD 0, BOS 1, EOS 2.
    assert batch.inputs_TB.T.tolist() == [[1, 4, 5, 4], [1, 4, 5, 0], [1, 5, 0, 0]]
    assert batch.targets_TB.T.tolist() == [[4, 5, 4, 2], [4, 5, 2, -100], [5, 2, -100, -100]]
    assert batch.reset_B.tolist() == [True, True, True]
    assert batch.inputs_TB.dtype == batch.targets_TB.dtype == torch.int64
    assert batch.reset_B.dtype == torch.bool


@PROPERTY
@given(names=NAME_LISTS, data=st.data())
def test_batches_are_those_built_name_by_name(names, data):
    vocabulary = Vocabulary.of(names[: len(names) // 2 + 1])  # so that some characters are UNK
    rows = data.draw(st.lists(st.integers(0, len(names) - 1), min_size=1, max_size=10))
    batch = RaggedNames(names, vocabulary).batch(torch.tensor(rows).numpy())
    num_steps = max(len(names[row]) for row in rows) + 1
    for column, row in enumerate(rows):
        ids = vocabulary.encode(names[row])
        num_padded = num_steps - len(ids) - 1
        inputs = [vocabulary.BOS, *ids] + [vocabulary.PAD] * num_padded
        targets = [*ids, vocabulary.EOS] + [IGNORE] * num_padded
        assert batch.inputs_TB[:, column].tolist() == inputs
        assert batch.targets_TB[:, column].tolist() == targets
    assert batch.inputs_TB.shape == batch.targets_TB.shape == (num_steps, len(rows))
    assert batch.reset_B.tolist() == [True] * len(rows)


@PROPERTY
@given(NAME_LISTS, st.integers(1, 50), st.sampled_from([None, 0, 7]))
def test_targets_are_the_inputs_one_step_on_and_never_pad_or_bos(names, batch_size, seed):
    vocabulary = Vocabulary.of(names)
    for batch in NamesLoader(RaggedNames(names, vocabulary), batch_size, seed=seed):
        real = batch.targets_TB != IGNORE
        assert not torch.isin(
            batch.targets_TB, torch.tensor([Vocabulary.PAD, Vocabulary.BOS])
        ).any()
        assert (batch.inputs_TB[~real] == Vocabulary.PAD).all()
        assert (batch.inputs_TB[0] == Vocabulary.BOS).all()
        follows = real[1:]
        assert torch.equal(batch.inputs_TB[1:][follows], batch.targets_TB[:-1][follows])
        assert ((batch.targets_TB == Vocabulary.EOS).sum(0) == 1).all()


# -------------------------------------------------------------------------------- epochs and ranks
@PROPERTY
@given(NAME_LISTS, st.integers(1, 50), st.integers(1, 5))
def test_evaluation_presents_each_name_once_over_all_ranks(names, batch_size, world_size):
    vocabulary = Vocabulary.of(names)
    ragged = RaggedNames(names, vocabulary)
    ranks = [
        NamesLoader(ragged, batch_size, world=World(rank, world_size)) for rank in range(world_size)
    ]
    batches = [list(rank) for rank in ranks]
    presented = names_of_all((batch for rank in batches for batch in rank), vocabulary)
    # "" is a filler row: a rank that has nothing left while another has.
    assert Counter(filter(None, presented)) == Counter(names)
    assert {len(rank) for rank in batches} == {len(rank) for rank in ranks} == {len(ranks[0])}
    assert presented.count("") < world_size
    assert [list(map(names_of, rank)) for rank in ranks] == [
        list(map(names_of, rank)) for rank in batches
    ]


@PROPERTY
@given(NAME_LISTS, st.integers(1, 50), st.integers(1, 5), st.integers(0, 2**32))
def test_training_presents_each_name_once_but_for_what_fills_up_ranks(
    names, batch_size, world_size, seed
):
    vocabulary = Vocabulary.of(names)
    ragged = RaggedNames(names, vocabulary)
    ranks = [
        list(NamesLoader(ragged, batch_size, seed=seed, world=World(rank, world_size)))
        for rank in range(world_size)
    ]
    presented = Counter(names_of_all((batch for rank in ranks for batch in rank), vocabulary))
    num_rows = -(-len(names) // world_size)
    assert set(presented) == set(names)
    assert presented.total() == num_rows * world_size
    if world_size == 1:
        assert set(presented.values()) == {1}
    sizes = [[len(batch.reset_B) for batch in rank] for rank in ranks]
    full, short = divmod(num_rows, batch_size)
    assert sizes == [[batch_size] * full + [short] * (short > 0)] * world_size


def test_the_order_is_a_function_of_seed_and_epoch():
    first = loader(seed=5)
    epochs = [names_of_all(first) for _ in range(3)]
    for epoch, presented in enumerate(epochs):
        assert presented == in_order(NAMES, 4, 5, epoch)
    assert epochs[0] != epochs[1]
    assert names_of_all(loader(seed=6)) != epochs[0]


def test_two_ranks_together_read_the_order_of_one():
    one = names_of_all(loader(batch_size=8))
    two = [names_of_all(loader(world=World(rank, 2))) for rank in range(2)]
    assert [name for pair in zip(*two, strict=True) for name in pair] == one


def test_a_loader_left_early_begins_the_next_epoch():
    # Lightning stops asking after len(loader) batches, or earlier with limit_train_batches.
    left = loader()
    for _ in range(2):
        next(iter(left))
    list(islice(left, len(left)))
    assert names_of_all(left) == in_order(NAMES, 4, 0, 3)


def test_batches_hold_names_of_like_lengths():
    generator = random.Random(0)
    names = ["x" * generator.randint(1, 20) for _ in range(16 * 32)]
    batches = list(NamesLoader(RaggedNames(names, VOCABULARY), 32, seed=1))
    spreads = [np.ptp([len(name) for name in names_of(batch)]) for batch in batches]
    assert len(batches) == 16
    assert max(spreads) <= 3
    padded = sum(batch.targets_TB.numel() for batch in batches)
    assert padded < 1.1 * sum(len(name) + 1 for name in names)
    # not the short ones first
    lengths = [batch.targets_TB.shape[0] for batch in batches]
    assert lengths != sorted(lengths)


def test_an_iterator_that_is_not_used_costs_no_epoch():
    unused = loader()
    iter(unused)
    assert names_of_all(unused) == names_of_all(loader())


# ------------------------------------------------------------------------------------------- resume
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_resuming_any_number_of_times_changes_nothing(batch_size, cuts):
    """Each cut is a process that hands out so many batches, then dies; the next goes on."""
    uninterrupted = loader(batch_size=batch_size)
    expected = [
        names_of(batch)
        for _ in range(1 + sum(cuts) // len(uninterrupted))
        for batch in uninterrupted
    ]
    presented, state = [], None
    for cut in cuts:
        process = loader(batch_size=batch_size)
        if state is not None:
            process.load_state_dict(state)
        while cut > 0:
            batches = [names_of(batch) for batch in islice(process, cut)]
            presented += batches
            cut -= len(batches)
        state = process.state_dict()
    assert presented == expected[: len(presented)]
    assert all(type(value) is int for value in state.values())


def test_a_resumed_loader_left_early_begins_the_next_epoch():
    process = loader()
    list(islice(process, 2))
    resumed = loader()
    resumed.load_state_dict(process.state_dict())
    next(iter(resumed))
    assert names_of_all(resumed) == in_order(NAMES, 4, 0, 1)


def test_a_resume_in_an_epoch_of_other_batches_is_refused():
    process = loader(batch_size=4)
    list(islice(process, 3))
    state = process.state_dict()
    with pytest.raises(UsageError, match="middle of an epoch") as caught:
        loader(batch_size=8).load_state_dict(state)
    assert "8 batches an epoch, of which 3 are done, each of 4 rows" in str(caught.value)
    assert "4 batches with data.batch_size=8 and 1 process(es), each of 8" in str(caught.value)
    finished = loader(batch_size=4)
    list(finished)
    other = loader(batch_size=8)
    other.load_state_dict(finished.state_dict())
    assert names_of_all(other) == in_order(NAMES, 8, 0, 1)


def test_a_resume_with_as_many_batches_of_other_rows_is_refused():
    process = loader(batch_size=1, world=World(0, 15))
    next(iter(process))
    other = loader(batch_size=1, world=World(0, 16))
    assert len(other) == len(process) == 2
    with pytest.raises(UsageError, match="middle of an epoch") as caught:
        other.load_state_dict(process.state_dict())
    assert caught.value.expected.endswith("each of 15 rows")
    assert caught.value.got.endswith("16 process(es), each of 16 rows")
    assert caught.value.option == "data.batch_size"


def test_the_data_module_deals_to_its_process():
    data = NamesDataModule(CORPUS, VOCABULARY, batch_size=4, seed=3, world=World(1, 2))
    assert names_of_all(data.train_dataloader()) == in_order(CORPUS.train, 8, 3, 0)[1::2]
    assert sorted(names_of_all(data.val_dataloader())) == sorted(
        sorted(CORPUS.val, key=len, reverse=True)[1::2]
    )


class Recorder(LightningModule):
    """Writes down the names it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained, self.validated, self.tested = [], [], []

    def training_step(self, batch):
        self.trained.append(names_of(batch))
        return self.weight.square()

    def validation_step(self, batch):
        self.validated += names_of(batch)

    def test_step(self, batch):
        self.tested += names_of(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(max_steps, folder, checkpoint=None):
    """One process: trains to `max_steps` in epochs of 6 steps, saves, and returns what it saw."""
    trainer = Trainer(
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = Recorder()
    data = NamesDataModule(CORPUS, VOCABULARY, batch_size=4, seed=3)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    path = folder / f"{max_steps}.ckpt"
    trainer.save_checkpoint(path)
    return module, trainer, path


# Lightning uses what torch deprecated, and misses the workers and the logging that we do without.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("stops", [(8, 10, 16), (6, 12, 16), (2, 4, 16), (6, 7, 16)])
def test_lightning_resumes_twice_in_one_epoch_as_if_it_had_never_stopped(tmp_path, stops):
    whole, trainer, _ = fit(16, tmp_path)
    presented, checkpoint = [], None
    for stop in stops:
        module, _, checkpoint = fit(stop, tmp_path, checkpoint)
        presented += module.trained
    assert presented == whole.trained
    assert Counter(name for batch in presented[:6] for name in batch) == Counter(CORPUS.train)
    assert whole.validated == 2 * sorted(CORPUS.val, key=len, reverse=True)
    trainer.test(whole, NamesDataModule(CORPUS, VOCABULARY, batch_size=4, seed=3), verbose=False)
    assert whole.tested == sorted(CORPUS.test, key=len, reverse=True)
