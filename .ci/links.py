"""links.py - every link in the pages leads somewhere, and the files that they name exist."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def prose(path: Path) -> str:
    """The text without blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    heads = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken(path: Path) -> list[str]:
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    text = path.read_text("utf-8")
    for name in re.findall(r"(?<![\w/-])(?:src|tests|bench|docs|examples|\.ci)/[\w/.-]*\w", text):
        if not (ROOT / name).exists():
            found.append(name)
    for name in re.findall(r"(?<![\w/])test_\w+\.py\b", text):
        if not any((ROOT / "tests").rglob(name)):
            found.append(name)
    return found


wrong = [
    f"{path.relative_to(ROOT)}: {what}" for path in PAGES for what in dict.fromkeys(broken(path))
]
print(*wrong or [f"all is there that {len(PAGES)} pages name"], sep="\n")
sys.exit(bool(wrong))
