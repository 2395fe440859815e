"""page.py - the sections of docs/ that are made by commands."""

import re
from pathlib import Path


def rewrite(path: Path, section: str, parts: list[str]) -> None:
    """Put the parts between ``<!-- SECTION: made by ... -->`` and ``<!-- SECTION: end -->``."""
    text = path.read_text(encoding="utf-8")
    pattern = rf"(<!-- {section}: made by .*? -->\n).*(<!-- {section}: end -->)"
    body = "\n\n".join(part.strip() for part in parts)
    text, found = re.subn(
        pattern, lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text, flags=re.DOTALL
    )
    if found != 1:
        raise ValueError(f"{path} has no section {section!r}")
    path.write_text(text, encoding="utf-8")
