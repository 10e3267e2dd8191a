"""Writes the report: gathers what it shows, and puts all of it into one file."""

import shlex
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from charlab import rows
from charlab.compare.comparison import Comparison
from charlab.errors import CannotWrite, MissingPackage, UsageError

PACKAGES = ("plotly", "jinja2")


def write_page(comparison: Comparison, file: Path) -> None:
    """One HTML page that needs nothing besides; a file that is there is written over.

    Raises UsageError where plotly or jinja2 is not installed, or the file cannot be written.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise MissingPackage("the page", " and ".join(missing), "report", option="--html")
    from charlab.compare.page.render import render

    text = render(
        comparison, command=shlex.join(["charlab", *sys.argv[1:]]), made=datetime.now(UTC)
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not file.is_file():  # /dev/stdout stays what it is
            file.write_bytes(text.encode())
        else:
            rows.replace(file, text.encode())
    except (OSError, CannotWrite) as error:
        told = error.got if isinstance(error, CannotWrite) else error.strerror or str(error)
        raise UsageError(
            f"cannot write the page {file}",
            expected="a file in a folder that can be written",
            got=told,
            hint="--html FILE puts it elsewhere",
            option="--html",
        ) from error
