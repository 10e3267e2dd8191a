"""The pictures of a run at W&B: drawn at its end, from its run directory."""

import json

import pytest

from charlab import outcome
from charlab.config.schema_output import WandbConfig
from charlab.runs import Run
from charlab.stopping import EndingSignals
from charlab.tracking import Tracking

from ..run_directories import add_curves, make_run
from ..running import train


def test_a_finished_run_shows_its_pictures(tmp_path, monkeypatch):
    shown = []

    def show_images(tracking, images):
        record = json.loads((tracking._run.path / "run.json").read_text())
        shown.append(({name: path.read_bytes()[:4] for name, path in images.items()}, record))

    monkeypatch.setattr(Tracking, "show_images", show_images)
    code, _ = train(tmp_path, "logger.wandb.mode=offline")
    assert code == 0
    ((pngs, record),) = shown
    assert pngs == dict.fromkeys(("learning_curve", "samples", "lengths"), b"\x89PNG")
    assert record["status"] == "finished"


class TrackingStandIn:
    """Notes what it is given."""

    def __init__(self, config, run):
        self.logger = None if config.mode == "disabled" else "a logger"
        self.shown, self.exit_code = [], None

    def show_images(self, images):
        self.shown += sorted(images)

    def finish(self, exit_code, *, goes_on=False):
        self.exit_code = exit_code


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """A function that ends a run: (what W&B got of it, the status in its record)."""
    monkeypatch.setattr(outcome, "Tracking", TrackingStandIn)
    path = make_run(tmp_path, "gru", status="running")
    add_curves(path)

    def end(error=None, **options):
        record = json.loads((path / "run.json").read_text())
        with outcome.recorded(
            Run(path, record), WandbConfig(**options), EndingSignals()
        ) as tracking:
            if error is not None:
                raise error
        return tracking, json.loads((path / "run.json").read_text())["status"]

    return end


def test_they_are_sent_before_the_run_is_closed(ended):
    tracking, status = ended(mode="offline")
    assert (tracking.shown, tracking.exit_code) == (["learning_curve"], 0)
    assert status == "finished"


@pytest.mark.parametrize("options", [{"mode": "disabled"}, {"mode": "offline", "images": False}])
def test_nothing_is_drawn_where_nobody_sees_it(ended, monkeypatch, options):
    monkeypatch.setattr(outcome, "draw", lambda run, folder: pytest.fail("drawn"))
    tracking, _ = ended(**options)
    assert (tracking.shown, tracking.exit_code) == ([], 0)


def test_a_run_that_fails_has_none(ended, monkeypatch):
    monkeypatch.setattr(outcome, "draw", lambda run, folder: pytest.fail("drawn"))
    with pytest.raises(RuntimeError, match="no step more"):
        ended(RuntimeError("no step more"), mode="offline")


def test_a_picture_that_fails_fails_no_run(ended, monkeypatch, caplog):
    def draw(run, folder):
        raise RuntimeError("no font at all")

    monkeypatch.setattr(outcome, "draw", draw)
    tracking, status = ended(mode="offline")
    assert (tracking.shown, tracking.exit_code, status) == ([], 0, "finished")
    assert caplog.messages == ["W&B has no pictures of the run: RuntimeError: no font at all"]
