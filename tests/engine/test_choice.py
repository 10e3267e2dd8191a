"""What runs a cell: what was asked for, or the fastest that can, and a word where it is slow."""

import dataclasses
import logging

import pytest
import torch

from charlab.cells import CELLS
from charlab.cells.base import HiddenState, LSTMState
from charlab.config.schema import ENGINES as ENGINES_OF_SCHEMA
from charlab.config.schema import SCHEMAS, ModelConfig
from charlab.engine import as_layer, build_layer, choice, layer
from charlab.engine.cpu import build
from charlab.engine.gpu.fit import why_not
from charlab.engine.layer import EngineLayer
from charlab.engine.reference import ReferenceLayer
from charlab.errors import UsageError
from charlab.model import build_model

from ..cells.table import ENGINES, H, I, random
from .odd_cells import AGAIN, ANY, ELEMENTWISE, Dropped, Normed, Own

FLOAT64 = torch.float64
needs_compiler = pytest.mark.skipif("compiled" not in ENGINES, reason="no C++ compiler")


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    """A PATH without any, and a cache without what was compiled before."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHARLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_loaded", {})


def test_the_schema_offers_what_there_is():
    assert ENGINES_OF_SCHEMA == choice.ENGINES


@needs_compiler
@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_elementwise_steps_are_compiled(kind):
    for engine in ("auto", "compiled"):
        made = as_layer(kind(I, H).double(), engine)
        assert made.settle("cpu", FLOAT64) == ("compiled", None)


@pytest.mark.parametrize("kind", ANY)
def test_other_steps_run_in_plain_torch(kind):
    """And auto says why; some of them may be understood some day."""
    cell = kind(I, H).double()
    name, notice = as_layer(cell, "auto").settle("cpu", FLOAT64)
    assert (name, notice) == ("compiled", None) or (
        name == "eager"
        and notice.startswith(f"{kind.__name__} runs in plain torch, which is slower than compiled")
    )
    assert as_layer(cell, "eager").settle("cpu", FLOAT64) == ("eager", None)


@pytest.mark.parametrize("kind", AGAIN)
def test_steps_that_cannot_be_run_again_run_in_the_loop(kind):
    cell = kind(I, H).double()
    name, notice = as_layer(cell, "auto").settle("cpu", FLOAT64)
    assert name == "reference"
    assert notice.startswith(f"{kind.__name__} runs one step at a time: {AGAIN[kind]}")
    for engine in ("eager", "compiled"):
        with pytest.raises(UsageError) as caught:
            as_layer(cell, engine).settle("cpu", FLOAT64)
        assert caught.value.option == "model.engine"
        assert caught.value.what == f"{kind.__name__} cannot run with model.engine={engine}"
        assert caught.value.got.startswith(AGAIN[kind])
        assert caught.value.hint == "model.engine=auto, or model.engine=reference"


def test_what_cannot_be_compiled_is_refused_where_that_is_asked_for():
    with pytest.raises(UsageError) as caught:
        as_layer(Normed(I, H), "compiled").settle("cpu", torch.float32)
    assert "layer_norm" in caught.value.got
    assert caught.value.hint == "model.engine=auto, or model.engine=eager"


def test_a_random_step_is_one_in_training_alone():
    made = as_layer(Dropped(I, H), "auto")
    assert made.settle("cpu", torch.float32)[0] == "reference"
    assert made.eval().settle("cpu", torch.float32)[0] != "reference"


def test_without_a_compiler(no_compiler):
    made = as_layer(Own(I, H).double(), "auto")
    name, notice = made.settle("cpu", FLOAT64)
    assert name == "eager"
    assert notice == (
        "Own runs in plain torch, which is slower than compiled: "
        "there is no C++ compiler: none of c++, g++, clang++"
    )
    expected = as_layer(made.cell, "reference")(random(4, 2, I), made.initial_state(2))[0]
    got = made(random(4, 2, I), made.initial_state(2))[0]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    with pytest.raises(UsageError, match="no C\\+\\+ compiler") as caught:
        as_layer(Own(I, H).double(), "compiled").settle("cpu", FLOAT64)
    assert caught.value.option == "model.engine"


def test_a_layer_that_nobody_settled_says_it_once(no_compiler, caplog, monkeypatch):
    monkeypatch.setattr(layer, "_said", set())
    with caplog.at_level(logging.WARNING, "charlab"):
        for kind in (Own, Own, Normed):
            made = as_layer(kind(I, H).double(), "auto")
            for _ in range(2):
                made(random(4, 2, I), made.initial_state(2))
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["Own", "Normed"]


@needs_compiler
def test_layers_of_one_kind_share_what_was_compiled(monkeypatch):
    loads = []
    real = build.load
    monkeypatch.setattr("charlab.engine.cpu.runner.load", lambda *a: (loads.append(1), real(*a))[1])
    layers = [as_layer(Own(I, 11).double(), "compiled") for _ in range(3)]
    for made in layers:
        made.settle("cpu", FLOAT64)
        made.eval().settle("cpu", FLOAT64)
    assert len(loads) == 1


def test_on_devices_without_generated_code():
    name, notice = as_layer(Own(I, H), "auto").settle("xpu", torch.float32)
    assert name == "eager"
    assert notice.endswith("there is no generated code for a device of type xpu")


def test_on_a_gpu():
    """Which need not be there to be chosen for."""
    name, notice = as_layer(Own(I, H), "auto").settle("cuda", torch.float32)
    reason = why_not(torch.float32)
    assert (name, notice) == ("triton", None) if reason is None else notice.endswith(reason)
    name, notice = as_layer(Own(I, H).double(), "auto").settle("cuda", FLOAT64)
    assert name == "eager"
    assert notice.endswith(why_not(FLOAT64))


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_layers_of_torch_run_themselves(cell):
    config = SCHEMAS.get(f"model/{cell}", ModelConfig)(cell=cell)
    model = build_model(config, 11, 0)
    assert model.settle("cpu", torch.float32) == []
    assert model.record["engine"] == "torch"
    for engine in ("compiled", "eager", "reference"):
        with pytest.raises(UsageError) as caught:
            build_model(dataclasses.replace(config, engine=engine), 11, 0)
        assert caught.value.option == "model.engine"
        assert caught.value.hint == f"model=custom_{cell} is the same cell on the engine"


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_a_model_records_what_runs_it(engine):
    config = SCHEMAS["model/custom_gru"](cell="custom_gru", num_layers=3, engine=engine)
    model = build_model(config, 11, 0)
    assert model.record["engine"] is None
    notices = model.settle("cpu", torch.float32)
    assert notices == [] or (engine == "auto" and "compiled" not in ENGINES)
    assert model.record["engine"] == (ENGINES[-1] if engine == "auto" else engine)
    assert "model/engine" not in model.metrics
    kind = ReferenceLayer if engine == "reference" else EngineLayer
    assert all(isinstance(one, kind) for one in model.layers)


def test_what_is_said_of_several_layers_is_said_once(no_compiler):
    config = SCHEMAS["model/custom_gru"](cell="custom_gru", num_layers=3)
    (notice,) = build_model(config, 11, 0).settle("cpu", torch.float32)
    assert notice.startswith("CustomGRU runs in plain torch")


def test_the_cache_is_the_folder_of_the_configuration(monkeypatch, tmp_path):
    config = SCHEMAS["model/custom_gru"](cell="custom_gru")
    model = build_model(config, 11, 0, tmp_path / "mine")
    assert [one.cache for one in model.layers] == [tmp_path / "mine"]
    monkeypatch.setenv("CHARLAB_CACHE", str(tmp_path / "usual"))
    options = {"bias": "none", "reset": "after", "update_gate": "keep"}
    assert build_layer("custom_gru", 2, 3, options).cache == tmp_path / "usual"


class Changed(Own):
    """Its first state is made in a way of its own."""

    def initial_state(self, batch_size, device):
        return super().initial_state(batch_size)


class Bare(Own):
    def initial_state(self, batch_size):
        return super().initial_state(batch_size).h_BH


class Narrow(Own):
    def initial_state(self, batch_size):
        return HiddenState(super().initial_state(batch_size).h_BH[:, 1:])


class Plain(Own):
    def step(self, x_BG, state):
        return super().step(x_BG, state).h_BH


class Nothing(Own):
    def step(self, x_BG, state):
        super().step(x_BG, state)


class Summed(Own):
    def step(self, x_BG, state):
        return HiddenState(super().step(x_BG, state).h_BH.sum(0))


class Other(Own):
    def initial_state(self, batch_size):
        zeros = super().initial_state(batch_size).h_BH
        return LSTMState(zeros, zeros)


class Misspelt(Own):
    def add(self, size):
        self.recurrent_linear("nwe")


class Twice(Own):
    def add(self, size):
        self.recurrent_linear("one", "one")


class Text(Own):
    gates = "forget"


class Biased(Own):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, bias="inputs")


class Optional(Own):
    def __init__(self, input_size, hidden_size, slope):
        super().__init__(input_size, hidden_size)


@pytest.mark.parametrize(
    ("row", "what", "got"),
    [
        (("charlab.cells.no_such", "MGU"), "is not where CELLS says", "charlab.cells.no_such"),
        (("charlab.cells.custom_gru", "MGU"), "is not where CELLS says", "no class of that name"),
        (("no_such_package.cells", "MGU"), "is not where CELLS says", "no_such_package"),
        ((__name__, "H"), "is not where CELLS says", "no class of that name"),
        (("torch.nn", "Linear"), "is not where CELLS says", "neither a Cell nor a Layer"),
        ("charlab.cells.mgu.MGU", "the row 'mgu' of CELLS is not one", "charlab.cells.mgu.MGU"),
        ((__name__, "Plain"), "Plain.step does not return", "Tensor, which is no NamedTuple"),
        ((__name__, "Nothing"), "Nothing.step does not return", "NoneType"),
        ((__name__, "Summed"), "Summed.step does not return", f"h_BH is [{H}] for a batch of 2"),
        ((__name__, "Other"), "Other.step does not return", "where the state before it is LSTM"),
        ((__name__, "Misspelt"), "cannot be made", "recurrent_linear('nwe',)"),
        ((__name__, "Twice"), "cannot be made", "('one', 'one')"),
        ((__name__, "Text"), "cannot be made", "Text.gates is 'forget'"),
        ((__name__, "Biased"), "cannot be made", "bias is 'inputs'"),
        ((__name__, "Optional"), "cannot be made from its options", "missing 1 required"),
        ((__name__, "Changed"), "Changed.initial_state does not return", "'device'"),
        (
            (__name__, "Bare"),
            "Bare.initial_state does not return",
            "Tensor, which is no NamedTuple",
        ),
        ((__name__, "Narrow"), "Narrow.initial_state does not return", f"h_BH is [1, {H - 1}]"),
    ],
)
def test_a_cell_of_ones_own_that_cannot_be_made(monkeypatch, row, what, got):
    monkeypatch.setitem(CELLS, "mgu", row)
    with pytest.raises(UsageError) as caught:
        build_layer("mgu", I, H, {})
    assert what in caught.value.what
    assert got in caught.value.got
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("import no_such_package", ModuleNotFoundError),
        ("import torch; torch.nn.NoSuchThing", AttributeError),
    ],
)
def test_a_mistake_inside_of_a_cells_module_is_shown_where_it_is(
    monkeypatch, tmp_path, line, error
):
    (tmp_path / f"own_{error.__name__}.py").write_text(f"{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(CELLS, "mgu", (f"own_{error.__name__}", "MGU"))
    with pytest.raises(error, match=r"no_such_package|NoSuchThing"):
        build_layer("mgu", I, H, {})


def test_what_is_no_cell_is_told_whatever_is_to_run_it(monkeypatch):
    monkeypatch.setitem(CELLS, "mgu", ("torch.nn", "Linear"))
    with pytest.raises(UsageError, match="neither a Cell nor a Layer"):
        build_layer("mgu", I, H, {}, "compiled")


class Counting(Own):
    """Keeps in itself how often it ran."""

    def add(self, size):
        self.count = 0
        self.register_buffer("last", torch.zeros(2, size))

    def step(self, x_BG, state):
        self.count += 1
        self.last = state.h_BH + 1
        return super().step(x_BG, state)


def test_a_look_at_the_step_leaves_no_trace(monkeypatch):
    monkeypatch.setitem(CELLS, "mgu", (__name__, "Counting"))
    cell = build_layer("mgu", I, H, {}).cell
    assert cell.count == 0
    assert not cell.last.any()


def test_what_the_step_itself_raises_is_shown_where_it_is(monkeypatch):
    class Wrong(Own):
        def step(self, x_BG, state):
            return state.h_BH.no_such_function()

    monkeypatch.setattr(f"{__name__}.Plain", Wrong)
    monkeypatch.setitem(CELLS, "mgu", (__name__, "Plain"))
    with pytest.raises(AttributeError, match="no_such_function"):
        build_layer("mgu", I, H, {})
