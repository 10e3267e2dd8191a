"""What can be ranked together: equal data, split, protocol and budget, trained to the end."""

from typing import NamedTuple, final

from charlab.compare.groups import Group
from charlab.reading.facts import RunFacts
from charlab.reading.row_files import last_step

# budgets may differ by so much: steps of whole batches do not always meet
TOLERANCE = 0.01


@final
class Terms(NamedTuple):
    """What scores are measured on. All but the budget have to be equal.

    data        fingerprint of the data as split
    vocabulary  fingerprint of the symbols
    sizes       of the validation and the test split
    chars       targets that the whole budget trains on: characters or bytes
    budget      the same in words: "3,488 steps of 64 names"
    """

    data: str
    vocabulary: str
    unit: str
    is_standard: bool
    sizes: tuple[int, int]
    chars: float
    budget: str

    @classmethod
    def of(cls, run: RunFacts) -> "Terms":
        """Of a run that is not left out."""
        data, record = run.data, run.record
        return cls(
            str(data["fingerprint"]),
            str(data["vocabulary_fingerprint"]),
            run.unit,
            bool(data.get("standard_split", True)),
            (int(data.get("num_val") or 0), int(data.get("num_test") or 0)),
            # what early stopping leaves of a budget has been a choice of the run
            record["chars_seen"] * record["total_steps"] / _num_steps(run),
            budget_text(run),
        )


def why_left_out(run: RunFacts) -> str:
    """Why a run has no part in the comparison; empty where it has."""
    total, done = run.record.get("total_steps"), run.record.get("num_steps")
    if run.state != "finished":
        error = str(run.record.get("error") or "").partition("\n")[0]
        step = last_step(run.path)
        place = f"step {step:,} of {total:,}" if step is not None and total else ""
        words = [run.state, place, error if run.state == "failed" else ""]
        return ", ".join(word for word in words if word)
    missing = [
        name
        for name, value in {
            "total_steps": total,
            "chars_seen": run.record.get("chars_seen"),
            "data.fingerprint": run.data.get("fingerprint"),
            "data.vocabulary_fingerprint": run.data.get("vocabulary_fingerprint"),
            "model.num_params": run.model.get("num_params"),
        }.items()
        if not value
    ]
    if missing:
        return f"run.json does not say {', '.join(missing)}"
    if done is not None and done < total and not stops_early(run):
        return f"cut off: {done:,} of {total:,} steps"
    if run.score("val/bpc") is None and run.score("test/bpc") is None:
        return "it has no finite score"
    return ""


def stops_early(run: RunFacts) -> bool:
    callbacks = run.config.get("callbacks")
    stopping = callbacks.get("early_stopping") if isinstance(callbacks, dict) else None
    return isinstance(stopping, dict) and stopping.get("enabled") is True


def _num_steps(run: RunFacts) -> int:
    return int(run.record.get("num_steps") or run.record["total_steps"])


def budget_text(run: RunFacts) -> str:
    """ "3,488 steps of 64 names", "3,488 steps of 64 x 100 bytes"."""
    data = run.config["data"]
    rows = f"{data.get('batch_size', '?')}"
    if "seq_len" in data:
        rows += f" x {data['seq_len']} {run.unit}s"
    else:
        rows += f" {run.data.get('document') or 'row'}s"
    processes = run.record.get("num_processes") or 1
    on = f" in each of {processes} processes" if processes > 1 else ""
    return f"{run.record['total_steps']:,} steps of {rows}{on}"


def why_apart(one: Terms, other: Terms) -> list[str]:
    """Why scores on the first terms cannot be ranked against those on the second.

    Empty where they can.
    """
    reasons = []
    if one.unit != other.unit:
        reasons.append(f"bits per {one.unit}, not per {other.unit}")
    if one.data != other.data:
        reasons.append(f"other data (fingerprint {one.data}, not {other.data})")
    elif one.sizes != other.sizes:
        reasons.append(f"another split (val and test {one.sizes}, not {other.sizes})")
    if one.vocabulary != other.vocabulary and one.data == other.data:
        reasons.append(f"another vocabulary ({one.vocabulary}, not {other.vocabulary})")
    if one.is_standard != other.is_standard:
        split = "the published split" if one.is_standard else "a split of its own"
        reasons.append(f"{split}, unlike the other")
    if not _is_near(one.chars, other.chars):
        ratio = one.chars / other.chars
        budgets = f"{one.budget}, not {other.budget}"
        if one.budget == other.budget:
            budgets = f"{one.chars:,.0f} {one.unit}s, not {other.chars:,.0f}"
        reasons.append(f"{ratio:.3g} times the budget ({budgets})")
    return reasons


def _is_near(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * max(one, other)


def partition(groups: list[Group]) -> list[list[Group]]:
    """Groups that can be ranked together; the largest such set first."""
    terms = {id(group): Terms.of(group.runs[0]) for group in groups}
    sets: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: terms[id(group)].chars):
        home = next(
            (one for one in sets if not why_apart(terms[id(group)], terms[id(one[0])])), None
        )
        if home is None:
            sets.append([group])
        else:
            home.append(group)
    return sorted(sets, key=lambda one: -sum(len(group.runs) for group in one))
