"""What a page of HTML would run, load or lead to, found as a browser would: from its elements."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

# Attributes that name what is loaded, sent to or gone to, in HTML or SVG, now or in old browsers.
LEADING = {
    *("src", "href", "data", "poster", "action", "formaction", "background", "ping"),
    *("manifest", "archive", "classid", "code", "codebase", "dynsrc", "lowsrc", "longdesc"),
}
# Lists of names, and pages as text: none is harmless by how it begins.
ALWAYS = {"srcset", "imagesrcset", "srcdoc"}
ACTIVE = {
    *("script", "iframe", "frame", "object", "embed", "applet", "base", "meta", "form", "svg"),
    # These set attributes of others, and so what is loaded.
    *("animate", "set", "handler", "listener"),
}
# What begins so is in the page itself, and loads nothing further.
WITHIN = re.compile(r"#|data:(?:image/(?!svg)|audio/|text/csv[;,])")
IN_STYLE = re.compile(
    r"@import|expression\(|javascript:|-moz-binding|\b(?:image|image-set|cross-fade|src)\("
    r"|url\((?!['\"]?(?:data:(?:image/(?!svg)|font/)|#))"
)


def in_style(text: str) -> str:
    """Return what loads in a style, or in an attribute that may be one; nothing if nothing does."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    # An escape of CSS stands for a letter: \75rl( is url(.
    text = re.sub(r"\\([0-9a-fA-F]{1,6})\s?", lambda each: chr(int(each[1], 16) % 0x110000), text)
    found = IN_STYLE.search(re.sub(r"[\s\\]", "", text).lower())
    return found[0] if found else ""


class Elements(HTMLParser):
    """The elements of a page; `active` are those that run, load or lead away."""

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.allowed = allowed
        self.active: list[str] = []
        self.text = ""
        self._raw = ""
        self._style = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in ("script", "style") else ""
        values = {name: value or "" for name, value in attributes}
        harmless_meta = tag == "meta" and "http-equiv" not in values
        if tag in ACTIVE and tag not in self.allowed and not harmless_meta:
            self.active.append(f"<{tag}>")
        for name, value in values.items():
            bare = re.sub(r"[\s\x00-\x1f]", "", value).lower()
            runs = name.startswith("on") or bare.startswith(("javascript:", "vbscript:"))
            # xlink:href, or whatever else that space of names is called.
            last = name.rpartition(":")[2]
            leads = last in LEADING and bare and not WITHIN.match(bare)
            if runs or leads or last in ALWAYS or in_style(value):
                self.active.append(f"<{tag} {name}={value[:60]}>")

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""
        self.end_style()

    def handle_pi(self, data: str) -> None:
        if data.startswith("xml-stylesheet"):
            self.active.append(f"<?{data[:60]}>")

    def handle_data(self, data: str) -> None:
        if self._raw == "style":
            self._style += data
        elif not self._raw:
            self.text += data

    def end_style(self) -> None:
        """Look at the style that has ended."""
        # In a picture (XML) a style may have entities.
        if found := in_style(self._style) or in_style(unescape(self._style)):
            self.active.append(f"style: {found}")
        self._style = ""


def elements(page: str, *allowed: str) -> Elements:
    """Return the elements of a page; `allowed` names active ones that it may have."""
    found = Elements(frozenset(allowed))
    # A style without an end goes on to the end of the page, and html.parser would forget it.
    found.feed(page + "</style>")
    found.close()
    return found
