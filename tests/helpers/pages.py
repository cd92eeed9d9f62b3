"""What the project's pages say: sections, tables, commands and links, wherever on the pages they stand."""

import re

from tests.helpers.project import ROOT

FRONT = ROOT / "README.md"
PROFILE = ROOT / "workflow/profiles/slurm/README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
CONFIG = ROOT / "config/README.md"
# What other folders' README.md files say of their data is not here.
PAGES = [FRONT, *DOCS, CONFIG, PROFILE, ROOT / "CONTRIBUTING.md"]


def name(page):
    """A page's path from the root."""
    return str(page.relative_to(ROOT))


def titles(page):
    """Titles of a page's sections and its own."""
    return re.findall(r"(?m)^#+ (.+)$", page.read_text())


def anchor(title):
    """What a link to a section is called, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def section(title):
    """The text of the one section of that title, to the next of its level or above."""
    found = []
    for page in PAGES:
        found += re.findall(rf"(?ms)^## {re.escape(title)}\n(.*?)(?=^##? |\Z)", page.read_text())
    assert len(found) == 1, f"{len(found)} sections are called '{title}'"
    return found[0]


def rows(text):
    """Rows of the tables in a text without heads and rules: lists of cells."""
    lines = text.splitlines()
    rule = re.compile(r"[|\-: ]+")
    heads = {number - 1 for number, line in enumerate(lines) if line.startswith("|") and rule.fullmatch(line)}
    kept = [line for number, line in enumerate(lines) if line.startswith("|") and number not in heads]
    # A bar within code is none between cells.
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in kept if not rule.fullmatch(line)
    ]


def links(page):
    """(words, target) of every link and picture of a page."""
    return re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", page.read_text())


def code(page):
    """Every piece of code of a page: inline (over a line's end too), and lines of blocks without their comments.

    Fenced blocks are programs in Python, which a test runs.
    """
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    block = re.compile(r"(?m)^(?: {4}|\t)(?! *[-*\d])(.+)$")
    lines = [re.split(r"\s+#", line)[0].strip() for line in block.findall(text)]
    return lines + [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", block.sub("", text))]


def commands(start):
    """(page, command) of every piece of code that starts with a word, with what stands before it left out."""
    return [(name(page), piece) for page in PAGES for piece in code(page) if piece.split()[0] == start]
