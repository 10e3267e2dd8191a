"""What a run is called: after all of its configuration that results depend on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

# What a run does not depend on, options and sections: where things are, what is shown and kept.
NOT_HASHED = (
    "paths",
    "resume",
    "logger",
    "callbacks.progress",
    "callbacks.checkpoint.every_s",
    "callbacks.checkpoint.every_n_steps",
)


def config_hash(config: Mapping[str, Any]) -> str:
    """8 hex digits that name a configuration, all but NOT_HASHED of it."""
    text = json.dumps(_hashed(config), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _hashed(section: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    return {
        key: _hashed(value, f"{name}{key}.") if isinstance(value, Mapping) else value
        for key, value in section.items()
        if f"{name}{key}" not in NOT_HASHED
    }


def is_among(option: str, names: Sequence[str]) -> bool:
    """Whether a dotted option is one of these, or in a section that is."""
    return any(option == name or option.startswith(f"{name}.") for name in names)


def slug(config: Mapping[str, Any]) -> str:
    """A short name made of letters, digits, "_", "-" and ".", fit for shells and file systems."""
    model = config["model"]
    size = (
        f"p{model['match_params']:.3g}" if model["match_params"] else f"h{model['hidden_size']}"
    ).replace("+", "")
    return f"{model['cell']}-{model['num_layers']}x{size}-s{config['seed']}"


def run_name(config: Mapping[str, Any]) -> str:
    """What the run directory of a configuration is called, but for a number after it."""
    return f"{slug(config)}-{config_hash(config)}"
