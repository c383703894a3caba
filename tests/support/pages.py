"""What a page of HTML would run or load, found as a browser would: from its elements."""

from __future__ import annotations

import re
from html.parser import HTMLParser

LOADING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background", "ping"}
LOADED_BY_HREF = {"link", "base", "use", "image"}
ACTIVE = {"script", "iframe", "frame", "object", "embed", "applet", "base", "meta", "form", "svg"}
IN_STYLE = re.compile(r"@import|url\(\s*['\"]?(?!data:|#)|expression\(|javascript:", re.I)


class Elements(HTMLParser):
    """The elements of a page; `active` are those that run, load or lead away."""

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.allowed = allowed
        self.active: list[str] = []
        self.text = ""
        self._raw = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in ("script", "style") else ""
        values = {name: value or "" for name, value in attributes}
        harmless_meta = tag == "meta" and "http-equiv" not in values
        if tag in ACTIVE and tag not in self.allowed and not harmless_meta:
            self.active.append(f"<{tag}>")
        for name, value in values.items():
            bare = re.sub(r"\s", "", value).lower()
            runs = name.startswith("on") or bare.startswith(("javascript:", "vbscript:"))
            loading = name in LOADING and (name != "href" or tag in LOADED_BY_HREF)
            loads = loading and bare and not bare.startswith(("data:", "#"))
            if runs or loads or (name == "style" and IN_STYLE.search(value)):
                self.active.append(f"<{tag} {name}={value[:60]}>")

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw == "style" and IN_STYLE.search(data):
            self.active.append(f"style: {IN_STYLE.search(data)[0]}")
        elif not self._raw:
            self.text += data


def elements(page: str, *allowed: str) -> Elements:
    """Return the elements of a page; `allowed` names active ones that it may have."""
    found = Elements(frozenset(allowed))
    found.feed(page)
    found.close()
    return found
