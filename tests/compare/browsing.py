"""A page in the Chromium of the system, which hears of every request, error and warning."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to show pages")
# of every figure: the cells that each trace shows, whether it is shown, and its x
TRACES = """() => Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [
  plot.id,
  plot.data.map((one) => ({...one.meta, visible: one.visible, x: [...one.x], y: [...one.y],
    colour: one.line?.color ?? one.marker?.color, fill: one.fill ?? ""})),
]))"""


@dataclass
class Shown:
    """requests: of anything but the page; complaints: of the console, and of scripts that failed"""

    page: Page
    requests: list[str]
    complaints: list[str]

    def drawn(self) -> None:
        self.page.wait_for_selector("html[data-drawn=yes]", timeout=30_000)

    def traces(self) -> dict[str, list[dict[str, Any]]]:
        self.drawn()
        found: dict[str, list[dict[str, Any]]] = self.page.evaluate(TRACES)
        return found

    def widths(self) -> tuple[int, int]:
        """What the page takes, and what the window has."""
        root = "document.documentElement"
        return (
            self.page.evaluate(f"{root}.scrollWidth"),
            self.page.evaluate(f"{root}.clientWidth"),
        )


@contextmanager
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


def show(chromium: Any, file: Path, width: int, **options: Any) -> Shown:
    context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
    shown = Shown(context.new_page(), [], [])

    def refuse(route: Any, request: Request) -> None:
        if request.url == file.as_uri():
            route.continue_()
        else:
            shown.requests.append(request.url)
            route.abort()

    shown.page.route("**/*", refuse)
    shown.page.on("console", lambda message: shown.complaints.append(message.text))
    shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    shown.page.goto(file.as_uri())
    shown.drawn()
    return shown
