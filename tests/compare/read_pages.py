"""A page as a browser without scripts sees it: its text, its tables, its embedded JSON."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = ("meta", "link", "br", "img", "input", "hr")


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    inner: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(one if isinstance(one, str) else one.text for one in self.inner)

    def all(self, tag: str, kind: str | None = None) -> list["Element"]:
        """Those below of a tag, and of a class where one is given."""
        found = []
        for one in self.inner:
            if isinstance(one, Element):
                classes = (one.attributes.get("class") or "").split()
                if one.tag == tag and (kind is None or kind in classes):
                    found.append(one)
                found += one.all(tag, kind)
        return found


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inner.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"<{self.open[-1].tag}> is closed by </{tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inner.append(data)


@dataclass
class Page:
    root: Element
    data: dict[str, Any]

    def figure(self, name: str) -> dict[str, Any]:
        return self.data["figures"][name]

    def traces(self, name: str, **meta: Any) -> list[dict[str, Any]]:
        """Those of a figure whose meta has these values."""
        return [
            trace
            for trace in self.figure(name)["data"]
            if all(trace["meta"].get(key) == value for key, value in meta.items())
        ]

    def cell(self, label: str) -> int:
        return self.data["labels"].index(label)


def read_page(file: Path) -> Page:
    tree = _Tree()
    tree.feed(file.read_text(encoding="utf-8"))
    [root] = tree.open
    [data] = [one for one in root.all("script") if one.attributes.get("id") == "page-data"]
    return Page(root, json.loads(data.text))
