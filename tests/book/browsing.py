"""A reader of the built site: a server, headless Chromium, and a tab that notes everything that goes wrong."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from pathlib import Path

import pytest
from chromium import find, typeset

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


@pytest.fixture(scope="module")
def site() -> Path:
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site in _build/html: run `make book` first")
    return SITE


def pages() -> list[str]:
    """Every page but index.html at the top, which only forwards to the landing page; none before the site is built."""
    found = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts}
    return sorted(found - {"index.html"})


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served: in a folder of its host, as on GitHub Pages, so that links from the root are broken."""
    folder = "/folder/"

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            inside = path.startswith(folder)
            return super().translate_path(path.removeprefix(folder)) if inside else str(site / "not in the folder")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{folder}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    program = find()
    if program is None:
        message = "no Chromium on PATH: install it (Debian, Ubuntu: apt-get install chromium) to test the built site"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield started
        started.close()


class Visit:
    """One tab that notes everything that goes wrong, and every request that leaves the site."""

    def __init__(self, browser, home: str, **options):
        self.home, self.faults, self.where = home, [], ""
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.tab.on("console", lambda message: self.note(message.text) if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.note(str(error)))
        self.tab.on("requestfailed", self._failed)
        self.tab.on("request", lambda request: self._check(request.url))

    def _failed(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # that one was cut short by the next page
            self.note(f"{request.failure}: {request.url}")

    def _check(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.note(f"request off the site: {url}")

    def note(self, fault: str) -> None:
        self.faults.append(f"{self.where}: {fault}")

    def open(self, page: str):
        self.where = page
        self.tab.goto(self.home + page, wait_until="load")
        typeset(self.tab)
        return self.tab

    def must_be_flawless(self) -> None:
        assert not self.faults, "\n".join(self.faults)

    def look_for(self, script: str, argument=None) -> None:
        for fault in self.tab.evaluate(script, argument):
            self.note(fault)


@pytest.fixture
def visit(browser):
    opened = []

    def start(home: str, **options) -> Visit:
        opened.append(Visit(browser, home, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.context.close()
