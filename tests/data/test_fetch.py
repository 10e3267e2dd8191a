"""Fetching, against a server in a thread: resumed, refused, verified, and only once."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from charlab.config.schema_data import Enwik8Config
from charlab.data import fetch as fetch_module
from charlab.data.fetch import FetchError, fetch
from charlab.data.report import SilentReport
from charlab.data.stream_corpus import read_stream
from charlab.errors import UsageError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()


class Site:
    """A server of one file, and what it was asked.

    cut_after  bytes of the body of each answer in turn after which the connection is lost
    """

    def __init__(self, content):
        self.content = content
        self.cut_after = []
        self.has_ranges = True
        self.says_length = True
        self.status = None
        self.answer = None
        self.ranges = []
        self.num_sent = 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.serve(self)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # the client that hangs up is the test

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/dc/enwik8.zip"

    def serve(self, handler):
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        if self.answer is not None:
            self.answer(handler)
            return
        if self.status is not None:
            handler.send_error(self.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if not self.has_ranges:
            start = 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if self.says_length:
            handler.send_header("Content-Length", str(len(body)))
        if start:
            size = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.end_headers()
        body = body[: self.cut_after.pop(0)] if self.cut_after else body
        self.num_sent += len(body)
        handler.wfile.write(body)


@contextmanager
def serving(content):
    site = Site(content)
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _quick_and_direct(monkeypatch):
    monkeypatch.setattr(fetch_module, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def site():
    with serving(CONTENT) as site:
        yield site


def get(site, part, num_bytes=300_000, report=None):
    fetch(site.url, part, num_bytes, "fetching it", report or SilentReport())


# ----------------------------------------------------------------------------------------- transfer
def test_a_whole_file_comes_at_once(site, tmp_path):
    get(site, tmp_path / "new" / "a.part")
    assert (tmp_path / "new" / "a.part").read_bytes() == CONTENT
    assert site.ranges == [None]
    get(site, tmp_path / "new" / "a.part")
    assert site.ranges == [None]  # nothing is missing: nobody is asked


@pytest.mark.parametrize("says_length", [True, False])
def test_a_lost_connection_is_taken_up_where_it_broke(site, tmp_path, says_length):
    site.cut_after = [100_000, 50_000]
    site.says_length = says_length
    get(site, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert site.num_sent == len(CONTENT)  # nothing came twice


def test_another_start_goes_on_with_the_part(site, tmp_path):
    class Interrupt:
        @contextmanager
        def progress(self, doing, num_bytes, num_done=0):
            yield self

        def advance(self, num_bytes):
            raise KeyboardInterrupt

    part = tmp_path / "a.part"
    with pytest.raises(KeyboardInterrupt):
        get(site, part, report=Interrupt())
    had = part.stat().st_size
    assert 0 < had < len(CONTENT)
    get(site, part)
    assert part.read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={had}-"]


def test_a_server_without_ranges_sends_all_again(site, tmp_path):
    site.has_ranges = False
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    site.cut_after = [100_000]
    get(site, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert site.ranges == ["bytes=1000-", "bytes=100000-"]


def refuses(handler):
    handler.send_error(416)


def sends_another_part(handler):
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 5-9/{len(CONTENT)}")
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(CONTENT[5:10])


def says_nothing_of_the_part(handler):
    handler.send_response(206)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(CONTENT[5:10])


@pytest.mark.parametrize("answer", [refuses, sends_another_part, says_nothing_of_the_part])
def test_an_unusable_answer_to_a_range_starts_over(site, tmp_path, answer):
    def once(handler):
        site.answer = None
        answer(handler)

    site.answer = once
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    get(site, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert site.ranges == ["bytes=1000-", None]


def test_a_part_that_is_too_long_is_of_another_file(site, tmp_path):
    (tmp_path / "a.part").write_bytes(CONTENT + b"x")
    get(site, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT


def failure(site, part, **options):
    with pytest.raises(FetchError) as caught:
        get(site, part, **options)
    return str(caught.value)


def test_a_server_that_always_breaks_off_is_given_up(site, tmp_path):
    site.cut_after = [1000] * 20
    text = failure(site, tmp_path / "a.part")
    assert text.startswith(f"5,000 of 300,000 bytes of {site.url} in 5 tries: the connection broke")
    assert "the next start goes on from there" in text
    assert len(site.ranges) == 5
    assert (tmp_path / "a.part").read_bytes() == CONTENT[:5000]


@pytest.mark.parametrize(("status", "words"), [(404, "Not Found"), (503, "Service Unavailable")])
def test_a_status_is_named_with_its_url(site, tmp_path, status, words):
    site.status = status
    assert failure(site, tmp_path / "a.part") == f"HTTP {status} {words} from {site.url}"
    assert len(site.ranges) == 1
    assert not (tmp_path / "a.part").exists()


def test_another_size_is_refused_before_it_comes(site, tmp_path):
    text = failure(site, tmp_path / "a.part", num_bytes=1000)
    assert text == f"a file of 300,000 bytes, not 1,000, at {site.url}"
    assert not (tmp_path / "a.part").exists()


def test_a_file_without_end_is_cut_short(site, tmp_path):
    site.says_length = False
    text = failure(site, tmp_path / "a.part", num_bytes=1000)
    assert text == f"a file of more than 1,000 bytes at {site.url}"
    assert not (tmp_path / "a.part").exists()


def test_no_server_is_said_in_a_line(tmp_path):
    with serving(b"") as site:
        pass
    text = failure(site, tmp_path / "a.part")
    assert text.startswith(f"no connection to {site.url} (")
    assert "refused" in text
    assert "Pool" not in text


# ------------------------------------------------------------------------------------------- enwik8
# As long as the config that `enwik8_at` makes says, and of symbols that compress.
TEXT = bytes(np.random.default_rng(1).choice(np.frombuffer(b"abc \n", np.uint8), 20_000))


def zipped(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


ZIP = zipped(("../../enwik8", TEXT))


def enwik8_at(url, archive=ZIP, **options):
    return Enwik8Config(
        name="enwik8",
        url=url,
        num_bytes=len(TEXT),
        content_sha256=hashlib.sha256(TEXT).hexdigest(),
        archive_bytes=len(archive),
        val_bytes=1000,
        test_bytes=1000,
        **options,
    )


def message(config, cache):
    with pytest.raises(UsageError) as caught:
        read_stream(config, cache, SilentReport())
    return str(caught.value)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("pack", [lambda text: ZIP, gzip.compress, lambda text: text])
def test_enwik8_is_fetched_unpacked_and_kept(tmp_path, pack):
    archive = pack(TEXT)
    with serving(archive) as site:
        config = enwik8_at(site.url, archive)
        corpus = read_stream(config, tmp_path, SilentReport())
        again = read_stream(config, tmp_path, SilentReport())
        assert len(site.ranges) == 1
    assert corpus.raw == tmp_path / "enwik8" / "enwik8"
    assert corpus.raw.read_bytes() == TEXT
    assert (corpus.source, corpus.path) == ("enwik8", None)
    assert files(tmp_path / "enwik8") == ["enwik8"]  # no archive, no part
    assert not (tmp_path.parent / "enwik8").exists()  # the name in the zip is nowhere used
    assert again.fingerprint == corpus.fingerprint


def test_what_lies_in_the_cache_is_taken_before_the_network(tmp_path):
    (tmp_path / "enwik8").mkdir()
    (tmp_path / "enwik8" / "enwik8.gz").write_bytes(gzip.compress(TEXT))
    corpus = read_stream(enwik8_at("http://127.0.0.1:9/"), tmp_path, SilentReport())
    assert corpus.raw.read_bytes() == TEXT
    assert corpus.source == "enwik8"


def test_a_fetched_archive_of_another_text_is_deleted_and_both_sums_named(tmp_path):
    other = zipped(("enwik8", TEXT[::-1]))
    with serving(other) as site:
        text = message(enwik8_at(site.url, other), tmp_path)
        assert f"what {site.url} holds is not enwik8, and was deleted" in text
        assert hashlib.sha256(TEXT).hexdigest() in text
        assert hashlib.sha256(TEXT[::-1]).hexdigest() in text
        assert files(tmp_path / "enwik8") == []
        message(enwik8_at(site.url, other), tmp_path)
        assert site.ranges == [None, None]


@pytest.mark.parametrize(
    ("archive", "what"),
    [
        (zipped(("a", b"a"), ("b", b"b")), "holds 2 files"),
        (zipped(("enwik8", TEXT + b"more")), "is not the file that is expected"),
        (ZIP[:500] + bytes(100) + ZIP[600:], "cannot be unpacked"),
        (b"<html>log in</html>", "is not enwik8"),
    ],
)
def test_a_fetched_archive_that_is_none_is_deleted(tmp_path, archive, what):
    with serving(archive) as site:
        assert what in message(enwik8_at(site.url, archive), tmp_path)
    assert files(tmp_path / "enwik8") == []


def test_without_a_network_it_says_where_the_file_goes(tmp_path):
    with serving(b"") as site:
        pass
    text = message(enwik8_at(site.url), tmp_path)
    assert "enwik8 is not on this machine and cannot be fetched" in text
    assert "enwik8, enwik8.zip, .gz, .bz2, .xz or .zst in " + str(tmp_path / "enwik8") in text
    assert "or data.path=FILE" in text
    assert "no connection to " + site.url in text
    assert "data=names, data=python_stdlib and data=text data.path=FILE need no network" in text
    assert len(text.splitlines()) == 4


def test_a_status_ends_in_the_same_advice(tmp_path):
    with serving(b"") as site:
        site.status = 404
        text = message(enwik8_at(site.url), tmp_path)
    assert f"HTTP 404 Not Found from {site.url}" in text
    assert str(tmp_path / "enwik8") in text


def test_an_interrupted_start_is_taken_up_by_the_next(tmp_path):
    """Everything had come, but was not unpacked yet."""
    (tmp_path / "enwik8").mkdir()
    (tmp_path / "enwik8" / "enwik8.zip.part").write_bytes(ZIP)
    (tmp_path / "enwik8" / "enwik8.tmp").write_bytes(b"half of it")
    with serving(ZIP) as site:
        corpus = read_stream(enwik8_at(site.url), tmp_path, SilentReport())
        assert site.ranges == []
    assert corpus.raw.read_bytes() == TEXT
    assert files(tmp_path / "enwik8") == ["enwik8"]


START = """
import json, sys
from pathlib import Path
from charlab.config.schema_data import Enwik8Config
from charlab.data.report import SilentReport
from charlab.data.stream_corpus import read_stream
config = Enwik8Config(**json.loads(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(read_stream(config, Path(sys.argv[2]), SilentReport()).fingerprint)
"""


def test_processes_that_start_together_fetch_once(tmp_path):
    with serving(ZIP) as site:
        site.cut_after = [1000]
        config = json.dumps(vars(enwik8_at(site.url)))
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", START, config, str(tmp_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=60)[0] for process in processes]
        assert site.ranges == [None, "bytes=1000-"]
        assert site.num_sent == len(ZIP)
    assert len(set(outputs)) == 1
    assert [process.returncode for process in processes] == [0, 0]
    assert files(tmp_path / "enwik8") == ["enwik8"]
