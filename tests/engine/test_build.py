"""Libraries are made once, by one process, whatever ends before its time; failures are told."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charlab.engine.cpu import build, compiler
from charlab.engine.cpu.build import CompileFailed, find_compiler, library, load
from charlab.errors import UsageError

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in compiler.COMPILERS), reason="no C++ compiler"
)
MAKE = """
import sys
from pathlib import Path
from charlab.engine.cpu.build import library
print("imported", flush=True)
sys.stdin.readline()
print(library(sys.argv[1], Path(sys.argv[2])))
"""


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def answering(number):
    """A source whose function gives the number."""
    return f'extern "C" int answer() {{ return {number}; }}'


def answer(path):
    return ctypes.CDLL(str(path)).answer()


def kernels(cache):
    return sorted(cache.glob("kernels/*.so"))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    build._say_once.cache_clear()


@pytest.fixture
def compiler_script(tmp_path, monkeypatch):
    """Sets CXX to a shell script that does as told, then compiles; gives the uses of it so far."""
    real = find_compiler()
    log = tmp_path / "uses"

    def write(commands):
        script = tmp_path / "cxx"
        script.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{commands}\nexec {real} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv("CXX", str(script))

        def uses():
            lines = log.read_text().splitlines() if log.exists() else []
            return [line for line in lines if line != "--version"]

        return uses

    return write


# Each library takes a probe for each wish, and the source.
BUILD = len(compiler.WISHES) + 1


# --------------------------------------------------------------------------------------- one build
@needs_compiler
def test_a_source_is_compiled_once(tmp_path, compiler_script):
    uses = compiler_script("")
    first = library(answering(1), tmp_path)
    assert first.parent == tmp_path / "kernels"
    assert len(uses()) == BUILD
    assert library(answering(1), tmp_path) == first
    assert len(uses()) == BUILD
    second = library(answering(2), tmp_path)
    assert len(uses()) == 2 * BUILD
    assert (answer(first), answer(second)) == (1, 2)


@needs_compiler
def test_a_library_is_loaded_once(tmp_path):
    assert load(answering(3), tmp_path) is load(answering(3), tmp_path / "elsewhere")
    assert load(answering(3), tmp_path).answer() == 3
    assert len(kernels(tmp_path)) == 1


@needs_compiler
def test_the_name_changes_with_all_it_depends_on(tmp_path, monkeypatch):
    names = {library(answering(4), tmp_path).name}
    for what, other in {
        "OPTIONS": compiler.OPTIONS[:-1],
        "WISHES": compiler.WISHES[:-1],
        "_version": lambda command: ["another 1.0"],
        "_processor": lambda: ["another"],
        "_openmp_of_torch": lambda: [Path("libgomp-another.so.1")],
        "_compile": compiler._compile,  # not one of them
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(compiler, what, other)
            patch.setattr(build, "compiled", lambda source, command: b"")
            names.add(library(answering(4), tmp_path).name)
    monkeypatch.setenv("CXX", f"{find_compiler()} -g0")
    names.add(library(answering(4), tmp_path).name)
    assert len(names) == 7
    assert set(names) == {path.name for path in kernels(tmp_path)}


def test_processors_are_told_apart_by_what_their_first_core_is(monkeypatch):
    text = "model\t: 1\ncpu MHz\t: 2445.4\nflags\t: avx2\n\nmodel\t: 2\n"
    monkeypatch.setattr(Path, "read_text", lambda path, **_: text)
    _, *found = compiler._processor.__wrapped__()
    known = dict(zip(compiler.PROCESSOR_FACTS, found, strict=True))
    assert {name: value for name, value in known.items() if value} == {
        "model": "1",
        "flags": "avx2",
    }


def making(source, cache, **env):
    """A process that has imported all it needs, and makes the library when told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, source, str(cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    assert process.stdout.readline() == "imported\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


@needs_compiler
def test_of_two_processes_one_compiles(tmp_path, compiler_script):
    uses = compiler_script("[ $1 = --version ] || sleep 0.2")
    other = making(answering(5), tmp_path)
    path = library(answering(5), tmp_path)
    assert other.communicate(timeout=60)[0] == f"{path}\n"
    assert len(uses()) == BUILD
    assert answer(path) == 5


@pytest.mark.slow
@needs_compiler
def test_a_builder_that_is_killed_leaves_nothing_in_the_way(tmp_path, compiler_script):
    """Nor does its compiler, which outlives it and then ends."""
    hold = tmp_path / "hold"
    hold.touch()
    pids = tmp_path / "pids"
    uses = compiler_script(
        f"[ $1 = --version ] || echo $$ >> {pids}\n"
        f"while [ $1 != --version ] && [ -e {hold} ]; do sleep 0.05; done"
    )
    process = making(answering(6), tmp_path, TMPDIR=str(tmp_path))
    while not pids.exists() or not pids.read_text().endswith("\n"):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert len(uses()) == 1, "the lock fell while the compiler is at work"
    hold.unlink()
    (leftover,) = [path for path in tmp_path.glob("charlab-*") if path.is_dir()]
    temporary = tmp_path / "kernels" / "left over.so.tmp"
    temporary.write_bytes(b"half")
    path = library(answering(6), tmp_path)
    path.with_name(path.name + ".tmp").write_bytes(b"half")
    path.unlink()
    assert library(answering(6), tmp_path) == path
    assert answer(path) == 6
    assert leftover.exists(), "in the folder of temporary files, not in the cache"
    assert kernels(tmp_path) == [path]


# ------------------------------------------------------------------------------------------ damage
@needs_compiler
@pytest.mark.parametrize(
    "damage",
    [
        slow(lambda path, note: path.write_bytes(path.read_bytes()[:-100])),
        slow(lambda path, note: path.write_bytes(b"")),
        lambda path, note: path.write_bytes(path.read_bytes()[:-1] + b"x"),
        slow(lambda path, note: path.unlink()),
        lambda path, note: note.unlink(),
        slow(lambda path, note: note.write_text("{")),
        slow(lambda path, note: note.write_text("[]")),
        slow(lambda path, note: note.write_text("{}")),
    ],
)
def test_a_damaged_library_is_made_anew(tmp_path, compiler_script, damage):
    uses = compiler_script("")
    path = library(answering(7), tmp_path)
    sound = path.read_bytes()
    damage(path, path.with_name(path.name + ".json"))
    assert library(answering(7), tmp_path) == path
    assert len(uses()) == 2 * BUILD
    assert path.read_bytes() == sound


@needs_compiler
def test_a_sound_library_that_cannot_be_loaded_is_compiled_for_this_process(
    tmp_path, monkeypatch, caplog
):
    with monkeypatch.context() as patch:
        patch.setattr(build, "compiled", lambda source, command: b"not for this machine")
        path = library(answering(8), tmp_path)
    assert load(answering(8), tmp_path).answer() == 8
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(path) in line
    assert "kernels are compiled for this process alone" in line


def test_one_that_never_loads_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "compiled", lambda source, command: b"for no machine")
    monkeypatch.setattr(build, "find_compiler", lambda: "sh")
    with pytest.raises(CompileFailed, match="a library that was compiled cannot be loaded"):
        load(answering(9), tmp_path)


# ------------------------------------------------------------------------------------- the folder
@needs_compiler
def test_a_cache_that_cannot_be_written_is_told_once(tmp_path, caplog):
    cache = tmp_path / "a file" / "cache"
    cache.parent.write_text("")
    paths = [library(answering(number), cache) for number in (10, 11, 10)]
    assert [answer(path) for path in paths] == [10, 11, 10]
    assert paths[0] == paths[2]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"cannot write {cache}")


@needs_compiler
def test_a_cache_that_can_only_be_read_serves(tmp_path, monkeypatch):
    path = library(answering(12), tmp_path)
    monkeypatch.setattr(build, "locked", None)
    assert library(answering(12), tmp_path) == path


@pytest.mark.slow
@needs_compiler
def test_the_folder_of_a_process_goes_with_it(tmp_path):
    (tmp_path / "temporary").mkdir()
    cache = tmp_path / "a file"
    cache.write_text("")
    process = making(answering(13), cache, TMPDIR=str(tmp_path / "temporary"))
    out, err = process.communicate(timeout=60)
    assert out.startswith(str(tmp_path / "temporary"))
    assert err.startswith(f"cannot write {cache}")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_without_a_folder_for_temporary_files_there_is_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(CompileFailed, match="there is no folder to compile in"):
        compiler.compiled(answering(14), "c++")


# ---------------------------------------------------------------------------------- the compiler
def test_without_a_compiler_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert find_compiler() is None
    with pytest.raises(CompileFailed) as caught:
        library(answering(15), tmp_path)
    assert isinstance(caught.value, UsageError)
    assert str(caught.value) == (
        "there is no C++ compiler\n"
        "  expected  g++ or clang++ on the PATH, or named by the variable CXX\n"
        "  got       none of c++, g++, clang++\n"
        "  try       model.engine=eager needs no compiler"
    )


@pytest.mark.parametrize("value", ["no-such-compiler", "/no/such/g++ -O2", "'g++"])
def test_a_compiler_that_is_not_there_is_named(tmp_path, monkeypatch, value):
    monkeypatch.setenv("CXX", value)
    for use in (find_compiler, lambda: library(answering(16), tmp_path)):
        with pytest.raises(CompileFailed) as caught:
            use()
        assert "the variable CXX names no program" in str(caught.value)
        assert f"CXX={value}" in str(caught.value)


def test_the_order_in_which_compilers_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", " ")
    for name in reversed(compiler.COMPILERS):
        (tmp_path / name).touch(0o755)
        assert find_compiler() == name
    monkeypatch.setenv("CXX", "g++ -O1")
    assert find_compiler() == "g++ -O1"


@needs_compiler
def test_a_source_with_a_mistake_is_shown_as_the_compiler_sees_it(tmp_path, monkeypatch):
    with pytest.raises(CompileFailed) as caught:
        library("int f() { return nonsense; }", tmp_path)
    assert "cannot compile the kernels of this cell" in caught.value.what
    assert "kernels.cpp:1" in caught.value.got
    assert "nonsense" in caught.value.got
    assert caught.value.got.endswith("exit code 1")
    assert kernels(tmp_path) == []


@needs_compiler
def test_a_compiler_that_fails_is_asked_again_the_next_time(tmp_path, compiler_script):
    compiler_script("echo line $0 >&2; exit 3")
    with pytest.raises(CompileFailed, match="exit code 3"):
        load(answering(17), tmp_path)
    compiler_script("")
    assert load(answering(17), tmp_path).answer() == 17


@needs_compiler
def test_a_compiler_that_says_it_succeeded_and_wrote_nothing(tmp_path, compiler_script):
    compiler_script("exit 0")
    with pytest.raises(CompileFailed, match="exit code 0"):
        library(answering(18), tmp_path)


def test_a_file_that_is_no_program(tmp_path, monkeypatch):
    (tmp_path / "cxx").write_bytes(b"\x7fELF but not really")
    (tmp_path / "cxx").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "cxx"))
    with pytest.raises(CompileFailed, match="cannot be run"):
        library(answering(19), tmp_path)


@needs_compiler
@pytest.mark.parametrize("refused", compiler.WISHES)
def test_what_a_compiler_refuses_is_left_out(tmp_path, compiler_script, refused):
    uses = compiler_script(f'case "$*" in *{refused}*) exit 1;; esac')
    assert answer(library(answering(20), tmp_path)) == 20
    kept = [wish for wish in compiler.WISHES if wish != refused]
    assert all(wish in uses()[-1] for wish in kept)
    assert refused not in uses()[-1]


@needs_compiler
def test_a_compiler_that_hangs_is_stopped_with_all_it_started(
    tmp_path, compiler_script, monkeypatch
):
    monkeypatch.setattr(compiler, "TIMEOUT_S", 1.0)
    child = tmp_path / "child"
    compiler_script(
        f"case $* in *-fopenmp*-march*|*-march*-fopenmp*) sleep 60 & echo $! > {child}; wait;; esac"
    )
    began_s = time.monotonic()
    with pytest.raises(CompileFailed, match="it has not ended after 1 s"):
        library(answering(21), tmp_path)
    assert time.monotonic() - began_s < 30
    while runs(int(child.read_text())):
        assert time.monotonic() - began_s < 30
        time.sleep(0.02)


@pytest.mark.slow
@needs_compiler
def test_ctrl_c_ends_the_compiler(tmp_path, compiler_script):
    started = tmp_path / "started"
    compiler_script(f"[ $1 = --version ] || {{ echo $$ > {started}; sleep 60; }}")
    process = making(answering(22), tmp_path)
    while not started.exists() or not started.read_text().endswith("\n"):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    give_up_s = time.monotonic() + 30
    while runs(int(started.read_text())):
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def runs(pid):
    """Not where it has ended, and nobody has taken note of that yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@needs_compiler
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_threads_come_from_the_openmp_that_torch_has_loaded(tmp_path):
    """A second library of threads would compete with torch's for the processor."""
    source = """
    #ifdef _OPENMP
    #include <omp.h>
    #endif
    extern "C" int num_threads(int wanted) {
        int found = 0;
        #pragma omp parallel num_threads(wanted) reduction(+ : found)
        found += 1;
        return found;
    }
    """
    assert load(source, tmp_path).num_threads(3) == 3
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    assert len([name for name in mapped if "libgomp" in name]) == 1
