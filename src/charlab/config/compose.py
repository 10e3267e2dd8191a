"""Hydra composes the configuration here, and does nothing else.

Besides this module only `overrides`, `translate`, `launchers` and the plugins in `hydra_plugins`
import it.
Hydra's own way to run a job writes files, reconfigures logging and cuts tracebacks short, and under
`-m` it runs all jobs in one process, which a run with several devices or a W&B run does not
survive. So what is taken from it is the composed configuration and, for `-m`, the launcher.
"""

import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, final

import yaml  # type: ignore[import-untyped]
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from charlab.config.checks import check
from charlab.config.launchers import check_launcher, launch
from charlab.config.mistakes import first_line
from charlab.config.options import all_options, sections
from charlab.config.overrides import Mode, parse
from charlab.config.references import resolve, resolve_environment
from charlab.config.schema import SCHEMAS, Config
from charlab.config.translate import Source, translate
from charlab.errors import UsageError

# What Hydra raises for a mistake in a file or an override; ValueError and OSError are its own too.
MISTAKES = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, OSError)


@final
class Composer:
    """The files of conf/, and what they compose to.

    conf        the folder with config.yaml
    name        the file to start from, without .yaml
    extra_conf  one more folder to look for choices in, after conf
    """

    def __init__(self, conf: Path, name: str, extra_conf: Path | None) -> None:
        _register_schemas()
        version.setbase("1.3")
        search_path = create_config_search_path(str(conf))
        if extra_conf is not None:
            search_path.prepend(
                provider="command-line",
                path=f"file://{extra_conf}",
                anchor=SearchPathQuery(provider="schema"),
            )
        self.folders = [conf] if extra_conf is None else [conf, extra_conf]
        self.name = name
        for folder in self.folders:
            if not folder.is_dir():
                raise UsageError(
                    f"there is no folder {folder}", expected="a folder laid out as conf/ is"
                )
        self._loader = ConfigLoaderImpl(search_path)
        self._hydra = Hydra("train", self._loader)
        self._pickles: dict[tuple[str, ...], bytes] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of one job: typed, checked, its references resolved, read-only."""
        return self.compose_job(overrides)[0]

    def compose_job(self, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
        """As `compose`, with the same in plain form."""
        with self._translated(overrides, "run") as parsed:
            lines = zip(overrides, parsed, strict=True)
            config = self._chosen(tuple(line for line, one in lines if not _is_value(one)))
            values = [override for override in parsed if _is_value(override)]
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        plain = resolve(config)
        check(config, plain)
        OmegaConf.set_readonly(config, True)
        return config, plain

    def _chosen(self, choices: tuple[str, ...]) -> DictConfig:
        """What the choices of groups lead to, before values are set.

        Hydra takes a quarter of a second for that, and jobs of a sweep mostly differ in values; a
        pickle is the fastest way to a copy.
        """
        if choices not in self._pickles:
            config = self._hydra.compose_config(self.name, list(choices), RunMode.RUN)
            check_launcher(config.hydra.launcher)
            with open_dict(config):
                del config["hydra"]
            resolve_environment(config)
            self._pickles[choices] = pickle.dumps(config)
        config = pickle.loads(self._pickles[choices])
        assert isinstance(config, DictConfig)
        return config

    def compose_unchecked(self, overrides: Sequence[str], mode: Mode = "run") -> DictConfig:
        """As `compose`, before references are resolved and ranges checked, with Hydra's section."""
        with self._translated(overrides, mode):
            return self._hydra.compose_config(
                self.name, list(overrides), RunMode.RUN if mode == "run" else RunMode.MULTIRUN
            )

    def jobs(self, overrides: Sequence[str]) -> list[list[str]]:
        """The overrides of each job of a sweep, as Hydra's basic sweeper multiplies them out.

        What hydra.sweeper.params of a file sweeps over comes first, the command line after it.
        """
        config = self.compose_unchecked(overrides, "multirun")
        check_launcher(config.hydra.launcher)
        in_file = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        swept = [*in_file, *config.hydra.overrides.task]
        with self._translated(overrides, "multirun"):
            parsed = parse(swept, "multirun", self._loader, self.choices)
            (jobs,) = BasicSweeper.split_arguments(parsed, None)
        for_all = [line for line in config.hydra.overrides.hydra if not _is_of_sweep(line)]
        return [[*for_all, *job] for job in jobs]

    def launch(
        self,
        task: Callable[[DictConfig], None],
        jobs: Sequence[Sequence[str]],
        overrides: Sequence[str],
    ) -> bool:
        """Have the launcher that `overrides` choose run `task` for each of the jobs that they make.

        Returns whether no job failed.
        """
        config = self.compose_unchecked(overrides, "multirun")
        return launch(self._loader, config, task, jobs)

    @cached_property
    def choices(self) -> dict[str, list[str]]:
        """The choices of each group, `hydra` and the schemas left out."""
        files = self._loader.repository
        groups = files.get_group_options("", ObjectType.GROUP)
        names = [group for group in groups if group not in ("hydra", "schema")]
        return {group: files.get_group_options(group) for group in names}

    def files_with_schema(self, schema_name: str) -> list[str]:
        """The choices whose file takes a schema, such as `custom_gru` for `model/custom_gru`."""
        group = schema_name.partition("/")[0]
        files = [file for folder in self.folders for file in (folder / group).glob("*.yaml")]
        marker = f"/schema/{schema_name}@_here_"
        return sorted(file.stem for file in files if marker in file.read_text("utf-8"))

    def show_info(self, what: str, overrides: Sequence[str]) -> None:
        """Print how the configuration came about, in Hydra's words."""
        with self._translated(overrides, "run"):
            self._hydra.show_info(what, self.name, list(overrides))

    def shell_completion(self, command: Sequence[str]) -> None:
        """Print what `install=bash`, `uninstall=bash` or `query=bash` asks for."""
        with self._translated((), "run"):
            self._hydra.shell_completion(self.name, list(command))

    @contextmanager
    def _translated(self, overrides: Sequence[str], mode: Mode) -> Iterator[list[Override]]:
        """The overrides, parsed; what Hydra raises for a mistake inside becomes a UsageError."""
        parsed = parse(overrides, mode, self._loader, self.choices)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # a folder to search is missing
                yield parsed
        except UserWarning as warning:
            raise UsageError(first_line(warning)) from warning
        except MISTAKES as error:
            owners = {name: self.files_with_schema(name) for name in SCHEMAS}
            raise translate(error, parsed, Source(self.folders, owners)) from error


def _is_of_sweep(line: str) -> bool:
    """Whether an override concerns the sweep as a whole, and none of its jobs."""
    return line.startswith(("hydra/launcher", "hydra.launcher", "hydra.sweeper"))


def _is_value(override: Override) -> bool:
    """Whether it sets options that the schema has; all others choose, or are mistakes."""
    name = override.key_or_group
    return name in all_options() or (name in sections() and isinstance(override.value(), dict))


@cache
def _register_schemas() -> None:
    store = ConfigStore.instance()
    store.store(group="schema", name="config", node=Config)
    for path, schema in SCHEMAS.items():
        group, _, name = path.rpartition("/")
        store.store(group=f"schema/{group}", name=name, node=schema)
