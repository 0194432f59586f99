#!/usr/bin/env python3
"""The listings of a page: a link to a file, alone on its line, and the block behind it.

    [step2_echo.cc](../examples/tutorial/step2_echo.cc)

    ```cpp
    ...
    ```

As a program it pastes them, as a reader would, into an empty folder; or it writes the files as they
are into the page: usage: tests/readme/listings.py PAGE (FOLDER | --update)
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_LISTING = re.compile(
    r"^\[(?P<name>[\w.]+)\]\((?P<path>[\w./]+)\):?\n\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Listing:
    """`path` is that of the file it shows, relative to the root of the tree."""

    def __init__(self, page, match):
        self.name = match["name"]
        self.path = os.path.normpath(os.path.join(os.path.dirname(page), match["path"]))
        self.text = match["text"]
        self.shown = match.group()


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as opened:
        return opened.read()


def listings(page):
    return [Listing(page, match) for match in _LISTING.finditer(read(page))]


def paste(page, folder):
    """Writes each listing of the page into the folder, which has to be empty; returns them."""
    os.makedirs(folder, exist_ok=True)
    assert not os.listdir(folder), folder + " is not empty"
    shown = listings(page)
    assert shown, page + " shows no file"
    for listing in shown:
        with open(os.path.join(folder, listing.name), "w", encoding="utf-8") as opened:
            opened.write(listing.text)
    return shown


def update(page):
    """Makes each listing equal to its file."""
    text = read(page)
    for listing in listings(page):
        text = text.replace(listing.shown, listing.shown.replace(listing.text, read(listing.path)))
    with open(os.path.join(ROOT, page), "w", encoding="utf-8") as opened:
        opened.write(text)


if __name__ == "__main__":
    if sys.argv[2] == "--update":
        update(sys.argv[1])
    else:
        paste(sys.argv[1], sys.argv[2])
