"""A stream goes on where it stopped: over processes, in Lightning, and with validation between."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import LightningModule, Trainer

from charlab.errors import UsageError
from charlab.world import World

from .streams import MODES, epoch, module, numbered, plain, side_by_side


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stream")


@pytest.fixture
def parts(folder):
    return numbered(folder, 500)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 5), cuts=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_resuming_any_number_of_times_changes_nothing(folder, mode, batch_size, cuts):
    """Each cut is a process that hands out so many batches, then dies; the next goes on."""
    data = module(numbered(folder, 300), 3, batch_size=batch_size, seq_len=7, **MODES[mode])
    whole = data.train_dataloader()
    expected = [batch for _ in range(1 + sum(cuts) // len(whole)) for batch in epoch(whole)]
    presented, state = [], None
    for cut in cuts:
        process = data.train_dataloader()
        if state is not None:
            process.load_state_dict(state)
        while cut > 0:
            batches = [plain(batch) for batch in islice(process, cut)]
            presented += batches
            cut -= len(batches)
        state = process.state_dict()
    assert presented == expected[: len(presented)]
    assert all(type(value) is int for value in state.values())


@pytest.mark.parametrize(
    ("other", "got"),
    [
        ({"batch_size": 3}, "5 batches with data.batch_size=3, data.seq_len=10 and 1 process(es)"),
        # as many batches, of other windows
        ({"batch_size": 2, "seq_len": 5}, "16 batches with data.batch_size=2, data.seq_len=5 and"),
    ],
)
def test_a_resume_in_an_epoch_that_was_cut_otherwise_is_refused(folder, other, got):
    parts = numbered(folder, 167)
    options = {"batch_size": 1, "seq_len": 10}
    process = module(parts, **options).train_dataloader()
    list(islice(process, 3))
    with pytest.raises(UsageError, match="middle of an epoch") as caught:
        module(parts, **(options | other)).train_dataloader().load_state_dict(process.state_dict())
    assert caught.value.expected == (
        "16 batches an epoch, of which 3 are done, each of 1 rows x 10 steps"
    )
    assert got in caught.value.got


def test_a_finished_epoch_fits_any_cut(parts):
    process = module(parts, batch_size=2, seq_len=10).train_dataloader()
    list(process)
    other = module(parts, batch_size=3, seq_len=5)
    loader, whole = other.train_dataloader(), other.train_dataloader()
    loader.load_state_dict(process.state_dict())
    epoch(whole)
    assert epoch(loader) == epoch(whole)


def test_two_processes_go_on_where_one_with_twice_the_rows_stopped(parts):
    """The cut is the same, so the rest of the epoch is."""
    process = module(parts, batch_size=6, seq_len=10).train_dataloader()
    list(islice(process, 2))
    halves = [
        module(parts, world=World(rank, 2), batch_size=3, seq_len=10).train_dataloader()
        for rank in range(2)
    ]
    for half in halves:
        half.load_state_dict(process.state_dict())
    process.load_state_dict(process.state_dict())
    rest = epoch(process)
    assert len(rest) == len(process) - 2
    assert side_by_side([epoch(half) for half in halves]) == rest


def test_a_validation_pass_between_two_batches_changes_nothing(parts):
    data = module(parts, batch_size=2, seq_len=10)
    expected = epoch(data.train_dataloader())
    scored = epoch(data.val_dataloader())
    presented, loader = [], data.train_dataloader()
    validation = data.val_dataloader()
    for batch in loader:
        presented.append(plain(batch))
        assert epoch(validation) == scored
        if len(presented) == len(expected) // 2:
            next(iter(validation))  # and one that stops half way
    assert presented == expected


class Recorder(LightningModule):
    """Writes down the batches it is trained on, and those it is validated on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained, self.validated = [], []

    def training_step(self, batch):
        self.trained.append(plain(batch))
        return self.weight.square()

    def validation_step(self, batch):
        self.validated.append(plain(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, max_steps, folder, checkpoint=None):
    """One process: trains up to max_steps, validates each 5 steps, saves; what it saw."""
    trainer = Trainer(
        max_steps=max_steps,
        check_val_every_n_epoch=None,
        val_check_interval=5,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    recorder = Recorder()
    trainer.fit(recorder, data, ckpt_path=checkpoint, weights_only=True)
    path = folder / f"{max_steps}.ckpt"
    trainer.save_checkpoint(path)
    return recorder, path


# Lightning uses what torch deprecated, and misses the workers and the logging that we do without.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_lightning_resumes_twice_in_one_epoch_as_if_it_had_never_stopped(parts, tmp_path):
    """Epochs of 16 batches, validation in their middle."""
    data = module(parts, batch_size=3, seq_len=10, eval_lanes=1, eval_window=2)
    whole, _ = fit(data, 40, tmp_path)
    presented, checkpoint = [], None
    for stop in (4, 12, 18, 40):
        recorder, checkpoint = fit(data, stop, tmp_path, checkpoint)
        presented += recorder.trained
    loader = data.train_dataloader()
    assert len(loader) == 16
    assert whole.trained == [batch for _ in range(3) for batch in epoch(loader)][:40]
    assert presented == whole.trained
    assert whole.validated == 8 * epoch(data.val_dataloader())
