"""Files of the cache folder: whole or nowhere, one process at a time."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from charlab.config.compose import Composer
from charlab.config.load import load_data
from charlab.files import Unwritable, default_cache, locked, writing

CONF = Path(__file__).parents[1] / "conf"


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({}, "/home/u/.cache/charlab"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/charlab"),
        ({"XDG_CACHE_HOME": "/x", "CHARLAB_CACHE": "/c"}, "/c"),
        # an empty one is as if it were not set (XDG Base Directory Specification)
        ({"XDG_CACHE_HOME": ""}, "/home/u/.cache/charlab"),
        ({"XDG_CACHE_HOME": "/x", "CHARLAB_CACHE": ""}, "/x/charlab"),
        ({"XDG_CACHE_HOME": "", "CHARLAB_CACHE": "", "HOME": ""}, ".cache/charlab"),
    ],
)
def test_the_cache_is_where_the_variables_say(monkeypatch, variables, folder):
    """For who asks in code, and for paths.cache of every configuration."""
    for name in ("XDG_CACHE_HOME", "CHARLAB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/u"} | variables).items():
        monkeypatch.setenv(name, value)
    assert default_cache() == Path(folder)
    assert Composer(CONF, "config", None).compose([]).paths.cache == folder
    assert load_data("names", [])[1].cache == folder


def test_a_file_that_is_not_finished_is_nowhere(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt), writing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with writing(path) as file:
        file.write(b"all ")
        file.write(b"of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert file.sha256 == hashlib.sha256(b"all of it").hexdigest()
    assert list(tmp_path.iterdir()) == [path]


def test_who_waits_for_another_says_so_once(tmp_path, monkeypatch):
    monkeypatch.setattr("charlab.files.QUIET_WAIT_S", 0.01)
    code = (
        "import sys; from pathlib import Path\n"
        "from charlab.files import locked\n"
        "with locked(Path(sys.argv[1]), 'x', print):\n"
        "    print('locked', flush=True); sys.stdin.readline()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "locked\n"
        lines = []

        def release(line):
            lines.append(line)
            holder.stdin.write("go\n")
            holder.stdin.flush()

        with locked(tmp_path / "a", "fetching it", release):
            pass
    assert lines == ["another process is fetching it: waiting for it"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a"
    needed = r"paths\.cache is a folder that can be written"
    with pytest.raises(Unwritable, match=needed), locked(path, "x", print):
        pass
    with pytest.raises(Unwritable, match=f"cannot write {path}"), writing(path):
        pass
