"""run.json and config.yaml as plain data of the types that readers rely on, or one line why not."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]

from charlab import rows
from charlab.errors import UsageError
from charlab.runs import Status

REQUIRED = ("name", "group", "status", "started", "config_hash")
SECTIONS = ("model", "data", "trainer", "optimizer")
# no number of a run is as large; a float holds it exactly
LARGEST = 2**53
# of a configuration; one that YAML's references make endless has more
MAX_DEPTH, MAX_OPTIONS = 8, 2000
# what begins a level of YAML; C's parser takes the process down with 30,000 of them in each other
OPENING, MOST_OPENINGS = (b"[", b"{", b"-", b"?"), 5000


def checked_record(run: Path) -> dict[str, Any]:
    """run.json; what is no finite number in it is null. Raises UsageError, in one line."""
    try:
        record = json.loads((run / "run.json").read_bytes())
        # NaN, which JSON does not know and Python reads
        record = rows.finite(record)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError("no run.json in it") from None
    except OSError as error:
        raise UsageError(f"run.json cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"run.json is damaged: {_in_a_line(error)}") from error
    if not isinstance(record, dict):
        raise UsageError(f"run.json holds {_kind(record)}, not a record")
    missing = [entry for entry in REQUIRED if record.get(entry) is None]
    if missing:
        raise UsageError(f"run.json lacks {', '.join(missing)}")
    if record["status"] not in get_args(Status):
        raise UsageError(f"run.json: status is {_shown(record['status'])}")
    for name, (is_right, expected) in ENTRIES.items():
        value = _entry(record, name)
        if value is not None and not is_right(value):
            raise UsageError(f"run.json: {name} is {_shown(value)}, not {expected}")
    return record


def read_config(run: Path) -> dict[str, Any]:
    """config.yaml, as far as readers of runs rely on it. Raises UsageError, in one line."""
    try:
        # C's parser: one of Python takes 30 ms a run
        text = (run / "config.yaml").read_bytes()
        if sum(map(text.count, OPENING)) > MOST_OPENINGS:
            raise UsageError("config.yaml does not hold a whole configuration")
        config: Any = yaml.load(text, Loader=yaml.CSafeLoader)
    except UsageError:
        raise
    except FileNotFoundError:
        raise UsageError("no config.yaml in it") from None
    except OSError as error:
        raise UsageError(f"config.yaml cannot be read: {error.strerror or error}") from error
    # PyYAML's constructors raise whatever they meet: IndexError for !!int ''
    except Exception as error:
        raise UsageError(f"config.yaml is damaged: {_in_a_line(error)}") from error
    is_whole = isinstance(config, dict) and all(
        isinstance(config.get(section), dict) for section in SECTIONS
    )
    if not is_whole or not _is_plain(config):
        raise UsageError("config.yaml does not hold a whole configuration")
    for name, (is_right, expected) in OPTIONS.items():
        value = _entry(config, name)
        if not is_right(value):
            raise UsageError(f"config.yaml: {name} is {_shown(value)}, not {expected}")
    return dict(config)


def _is_plain(config: Mapping[Any, Any]) -> bool:
    """Whether it is a tree of options with names, lists and scalars, of sensible size."""
    nodes: list[tuple[Any, int]] = [(config, 0)]
    for num_seen, (node, depth) in enumerate(nodes):
        if num_seen > MAX_OPTIONS or depth > MAX_DEPTH:
            return False
        if isinstance(node, Mapping):
            if not all(isinstance(name, str) for name in node):
                return False
            nodes += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            nodes += [(value, depth + 1) for value in node]
        elif not (node is None or isinstance(node, str | int | float)):
            return False
    return True


def _entry(tree: Mapping[str, Any], name: str) -> Any:
    """By its dotted name; None where it is not there."""
    first, _, rest = name.partition(".")
    value = tree.get(first)
    return _entry(value, rest) if rest and isinstance(value, Mapping) else None if rest else value


def is_number(value: object) -> bool:
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return is_numeric and abs(value) <= LARGEST  # type: ignore[arg-type]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_section(value: object) -> bool:
    return isinstance(value, dict)


def _are_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(one is None or is_number(one) for one in value.values())


def _are_floors(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(floor, dict)
        and is_number(floor.get("val_bpc"))
        and is_number(floor.get("test_bpc"))
        for floor in value.values()
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_sections(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(_is_whole(one) for one in value)


Check = tuple[Callable[[object], bool], str]
TEXT: Check = (_is_text, "a text")
WHOLE: Check = (_is_whole, "a whole number")
NUMBER: Check = (is_number, "a number")
SECTION: Check = (_is_section, "an object")
FLAG: Check = (lambda value: isinstance(value, bool), "true or false")
# of run.json, where they are there and not null
ENTRIES: Mapping[str, Check] = {
    **dict.fromkeys(("name", "group", "started", "ended", "config_hash", "code", "device"), TEXT),
    "command": (_are_texts, "a list of texts"),
    "resumed": (_are_sections, "a list of objects"),
    "extended": (_are_sections, "a list of objects"),
    **dict.fromkeys(("git", "versions", "hardware", "data", "model", "budget"), SECTION),
    **dict.fromkeys(("data.name", "data.source", "data.unit", "data.document"), TEXT),
    **dict.fromkeys(("data.fingerprint", "data.vocabulary_fingerprint"), TEXT),
    "data.standard_split": FLAG,
    "data.num_val": WHOLE,
    "data.num_test": WHOLE,
    "data.lengths": (_are_counts, "a list of whole numbers"),
    "data.floors": (_are_floors, "val_bpc and test_bpc by label"),
    **dict.fromkeys(("model.num_params", "model.state_size", "model.hidden_size"), WHOLE),
    **dict.fromkeys(("total_steps", "num_steps", "num_processes", "chars_seen"), WHOLE),
    **dict.fromkeys(("peak_memory_bytes", "peak_device_memory_bytes"), WHOLE),
    **dict.fromkeys(("train_s", "seconds"), NUMBER),
    "scores": (_are_numbers, "numbers by name"),
    "samples": SECTION,
    "samples.lengths": (_are_counts, "a list of whole numbers"),
}
# of config.yaml, which has all of them
OPTIONS: Mapping[str, Check] = {
    "seed": WHOLE,
    "group": (lambda value: isinstance(value, str | int), "a text"),
    "model.cell": TEXT,
    "data.name": TEXT,
}


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _shown(value: object) -> str:
    """A value of any size, in a few characters."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        return "a huge number"
    text = f"{value!r}" if not isinstance(value, list | dict) else _kind(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
