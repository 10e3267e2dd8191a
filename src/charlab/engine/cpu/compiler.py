"""The C++ compiler of this machine: which one it is, what it depends on, running it.

What becomes of its output is in `charlab.engine.cpu.build`.
"""

import functools
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch

from charlab.errors import UsageError

OPTIONS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared"),
    # a*b + c may be rounded once; all else is as IEEE 754 has it
    *("-fno-math-errno", "-ffp-contract=fast"),
)
# Each is left out where the compiler does not have it: sources do without OpenMP as well.
WISHES = ("-march=native", "-fopenmp")
COMPILERS = ("c++", "g++", "clang++")
# What a source may take on a busy machine; the kernels of a cell take seconds.
TIMEOUT_S = 300.0
# Of what a compiler that fails has to say.
SHOWN_LINES = 12
# Of /proc/cpuinfo: the names that x86, ARM, POWER and RISC-V have for what -march=native reads.
PROCESSOR_FACTS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
    *("cpu", "revision", "isa", "uarch"),
)
PROBE = """
#ifdef _OPENMP
#include <omp.h>
extern "C" int probe() { return omp_get_max_threads(); }
#else
extern "C" int probe() { return 1; }
#endif
"""


@final
class CompileFailed(UsageError):
    """There is no library of a source: no compiler, or one that fails."""

    def __init__(self, what: str, got: str) -> None:
        super().__init__(
            what,
            expected="g++ or clang++ on the PATH, or named by the variable CXX",
            got=got,
            hint="model.engine=eager needs no compiler",
            option="model.engine",
        )


def find_compiler() -> str | None:
    """The command of a C++ compiler: $CXX, which may hold options, or the first on the PATH.

    None where there is none. CompileFailed where CXX names none: to take another one in its place
    would hide a mistake.
    """
    named = os.environ.get("CXX", "").strip()
    if not named:
        return next((name for name in COMPILERS if shutil.which(name)), None)
    if _words(named) is None:
        raise CompileFailed("the variable CXX names no program", f"CXX={named}")
    return named


def facts(command: str) -> dict[str, Any]:
    """Plain values that change with whatever changes what the compiler makes of a source."""
    glibc = "CS_GNU_LIBC_VERSION"
    return {
        "compiler": [_version(command), shlex.split(command)[1:]],
        "options": [*OPTIONS, *WISHES, *(path.name for path in _openmp_of_torch())],
        "processor": _processor(),
        "c_library": os.confstr(glibc) if glibc in os.confstr_names else None,
    }


def compiled(source: str, command: str) -> bytes:
    """The shared object of a source. Raises CompileFailed.

    The compiler writes where nobody else does, also one that outlives a process that was killed.
    """
    with temporary_folder() as name:
        folder = Path(name)
        wishes = [wish for wish in WISHES if _compile(PROBE, command, [wish], folder) is None]
        failure = _compile(source, command, wishes, folder)
        if failure is not None:
            raise CompileFailed(f"{command} cannot compile the kernels of this cell", failure)
        return (folder / "kernels.so").read_bytes()


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that goes with the object. Raises CompileFailed."""
    try:
        return tempfile.TemporaryDirectory(prefix="charlab-", ignore_cleanup_errors=True)
    except OSError as error:
        raise CompileFailed("there is no folder to compile in", str(error)) from error


def _compile(source: str, command: str, wishes: Sequence[str], folder: Path) -> str | None:
    """Compile to kernels.so of the folder; the last lines of the compiler if it fails."""
    target = folder / "kernels.so"
    target.unlink(missing_ok=True)
    (folder / "kernels.cpp").write_text(source, encoding="utf-8")
    openmp = [str(path) for path in _openmp_of_torch() if "-fopenmp" in wishes]
    link = ["-Wl,--as-needed", *openmp] if openmp else []
    arguments = [*OPTIONS, *wishes, "kernels.cpp", "-o", target.name, *link]
    exit_code, lines = _run(command, arguments, folder)
    if exit_code is None:
        return f"it has not ended after {TIMEOUT_S:.0f} s"
    if exit_code != 0 or not target.is_file():
        return "\n".join([*lines[-SHOWN_LINES:], f"exit code {exit_code}"])
    return None


def _run(command: str, arguments: Sequence[str], folder: Path) -> tuple[int | None, list[str]]:
    """(exit code, lines of output); None for the exit code where it was stopped after TIMEOUT_S.

    A compiler starts processes of its own: all of them end with it.
    """
    words = _words(command)
    if words is None:
        raise CompileFailed(f"the compiler {command} is no longer there", "no such program")
    with tempfile.TemporaryFile(dir=folder) as out:
        try:
            process = subprocess.Popen(
                [*words, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except OSError as error:  # a file that can be executed, but is no program
            raise CompileFailed(f"{command} cannot be run", str(error)) from error
        exit_code = None
        try:
            exit_code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if exit_code is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        return exit_code, out.read().decode(errors="replace").splitlines()


def _words(command: str) -> list[str] | None:
    """The command's program, wherever it is run from, and its options."""
    try:
        program, *options = shlex.split(command)
    except ValueError:  # a quotation that does not end
        return None
    path = shutil.which(program)
    return [str(Path(path).absolute()), *options] if path else None


@functools.cache
def _version(command: str) -> list[str]:
    with temporary_folder() as name:
        return _run(command, ["--version"], Path(name))[1]


@functools.cache
def _processor() -> list[str]:
    """What tells processors apart whose instructions, or whose best order of them, differ."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").strip().split("\n\n")[0]
    except OSError:
        return [platform.machine(), platform.processor()]
    lines = (line.partition(":") for line in first.splitlines())
    found = {name.strip(): value.strip() for name, _, value in lines}
    return [platform.machine(), *(found.get(name, "") for name in PROCESSOR_FACTS)]


def _openmp_of_torch() -> list[Path]:
    """The libgomp that some builds of torch bring, and load: one process wants one pool of threads.

    Such a file may have a name of its own, which the compiler's own libgomp would not match.
    """
    folder = Path(torch.__file__).parent / "lib"
    return sorted(folder.glob("libgomp*.so*"))[:1]
