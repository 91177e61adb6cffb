"""A fetched bundle is what was published, or nothing is written; a broken download continues."""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pflbench
from pflbench import downloads
from pflbench.cli.main import main
from pflbench.errors import WorkError
from pflbench.results import Store
from pflbench.results.bundles import MANIFEST, pack
from pflbench.runs.fetching import fetch


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, digits_file: Path) -> Path:
    """The bundle of a run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("published")
    small = {"clients": 2, "rounds": 1, "partition": "iid", "device": "cpu"}
    pflbench.run("local", f"npz:{digits_file}", results=folder / "results", **small)
    pack(Store(folder / "results").runs(), folder / "paper.zip")
    return folder / "paper.zip"


class Site(ThreadingHTTPServer):
    """Answers with a file, or its beginning only; or with all of it though asked for less."""

    content = b""
    breaks_after: int | None = None
    continues = True
    asked: list[str]


class _Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site, wanted = self.server, self.headers.get("Range", "")
        site.asked.append(wanted)
        begin = int(wanted[6:-1]) if wanted and site.continues else 0
        body = site.content[begin:]
        if not body or self.path != "/paper.zip":
            self.send_response(416 if begin else 404)
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if begin:
            whole = len(site.content)
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: site.breaks_after])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(bundle: Path) -> Iterator[Site]:
    with Site(("127.0.0.1", 0), _Answer) as server:
        server.content, server.asked = bundle.read_bytes(), []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def address(site: Site) -> str:
    return f"http://127.0.0.1:{site.server_address[1]}/paper.zip"


def called(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["results", "fetch", *arguments])


def test_runs_of_a_file_a_folder_and_an_address_arrive(bundle: Path, site: Site) -> None:
    ids = Store(bundle.parent / "results").ids()
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    for i, source in enumerate((str(bundle), str(bundle.parent), address(site))):
        done = called(source, "--results", f"r{i}", "--sha256", digest.upper())
        assert done.exit_code == 0, done.output
        assert f"added 1 runs to r{i} (SHA-256 {digest})" in done.stderr
        (run,) = Store(f"r{i}").runs()
        assert (run.status, [run.id]) == ("complete", ids)
    again = called(str(bundle), "--results", "r0")
    assert "added 0 runs to r0; 1 were complete there" in again.stderr
    assert not list(Path("cache").rglob("*.part"))


@pytest.mark.parametrize("continues", [True, False])
def test_a_download_that_breaks_off_is_continued(
    continues: bool, site: Site, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_CHUNK", 100)  # a bundle of the test is small
    site.breaks_after, cache = 1000, place / "bundles"
    with pytest.raises(WorkError, match=r"paper\.zip ended after 1,000 of [\d,]+ bytes"):
        fetch(address(site), "r", cache=cache)
    assert not Path("r").exists()
    (part,) = cache.glob("*.part")
    held = part.read_bytes()
    assert held
    assert site.content[:1000].startswith(held)
    site.breaks_after, site.continues = None, continues
    assert fetch(address(site), "r", cache=cache).added
    assert site.asked == ["", f"bytes={len(held)}-"]
    assert not part.exists()


def test_another_checksum_is_refused_and_not_kept(site: Site, bundle: Path) -> None:
    for source in (str(bundle), address(site)):
        done = called(source, "--sha256", "0" * 64)
        assert done.exit_code == 1
        assert "expected 0000" in done.stderr
    assert not Path("results").exists()
    assert not list(Path("cache").rglob("*.part"))
    assert called(address(site)).exit_code == 0


@pytest.mark.parametrize("name", ["../evil.json", "/evil.json", "runs/extra.json"])
def test_a_path_outside_is_refused(name: str, bundle: Path, site: Site, place: Path) -> None:
    shutil.copy(bundle, "forged.zip")
    with zipfile.ZipFile("forged.zip", "a") as archive:
        archive.writestr(name, "{}")
    site.content = Path("forged.zip").read_bytes()
    for source in ("forged.zip", address(site)):
        done = called(source)
        assert done.exit_code == 1
        assert f"The file '{name}'" in done.stderr
    assert not Path("results").exists()
    assert not list(place.parent.rglob("evil.json"))


def test_a_changed_number_is_refused(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as made, zipfile.ZipFile("changed.zip", "w") as archive:
        for one in made.namelist():
            content = made.read(one)
            archive.writestr(one, content if one == MANIFEST else content.replace(b"0", b"1"))
    done = called("changed.zip")
    assert done.exit_code == 1
    assert "not as it was packed" in done.stderr
    assert not Path("results").exists()


def test_what_is_no_bundle_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, said in {
        "nowhere.zip": "nowhere.zip does not exist",
        "empty": "The folder empty has none: expected one bundle",
        "ftp://host/paper.zip": "expected a path, http:// or https://",
    }.items():
        done = called(source)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert called("empty", "--sha256", "12").exit_code == 2
    lost = called(address(site).replace("paper", "lost"))
    assert (lost.exit_code, "HTTP 404" in lost.stderr) == (1, True), lost.stderr
    site.content = b"a page, and no archive"
    page = called(address(site))
    assert (page.exit_code, f"{address(site)} is not a whole zip" in page.stderr) == (2, True)
