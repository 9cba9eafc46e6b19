"""Print the whole book into one PDF: Sphinx puts all pages on one, and a Chromium prints it with bookmarks.

Needs Chromium or Chrome on PATH, and the browser driver of the extra "test", which `make` installs.
"""

import subprocess
import sys
import time
from pathlib import Path

from chromium import find, typeset
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "_build" / "book.pdf"


def main() -> None:
    start = time.monotonic()
    program = find()
    if program is None:
        sys.exit("make: Chromium or Chrome is needed to print the book (Debian, Ubuntu: apt-get install chromium).")
    builder = Path(sys.executable).with_name("jupyter-book")
    command = [builder, "build", ".", "-W", "-n", "--keep-going", "--builder", "singlehtml"]
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit("make: the book was not built; the errors are above.")
    # Sphinx writes the page where the landing page lies, with addresses that are right one folder higher.
    site = ROOT / "_build" / "singlehtml"
    page = site / "book.html"
    page.write_text((site / "book" / "index.html").read_text().replace('href="book/index.html#', 'href="#'))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(color_scheme="light")
        tab.goto(page.as_uri(), timeout=120_000)
        typeset(tab)
        charts = "[...document.querySelectorAll('.play')].every((chart) => chart.view)"
        tab.wait_for_function(charts, timeout=120_000)
        tab.pdf(path=TARGET, format="A4", outline=True, tagged=True, print_background=True)
        browser.close()
    megabytes = TARGET.stat().st_size / 1e6
    print(f"\nOpen {TARGET} ({megabytes:.1f} MB, printed in {time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
