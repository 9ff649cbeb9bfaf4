"""Writes the index of decisions from the pages beside it, and gives a page without a head the next number."""

import re
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "decisions"
HEAD = re.compile(r"\*Decision (\d+), ([\d-]+), (.+)\*")
INTRODUCTION = """# Decisions

What somebody could question has a page here: context, choice, consequence, and alternatives where a library or another
way was looked at. A decision that no longer holds keeps its page, with the status "replaced by" and a link. A new page
needs no number: `make docs` gives it the next one and writes this index. The first letters of a file say what it is
about.

| # | Decision | Date | Status |
|---|---|---|---|
"""


def title_and_head(page: Path) -> tuple[str, re.Match[str] | None]:
    lines = page.read_text().split("\n", 3)
    return lines[0].removeprefix("# "), HEAD.fullmatch(lines[2])


def main() -> None:
    pages = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
    number = max((int(head[1]) for page in pages if (head := title_and_head(page)[1])), default=0)
    for page in pages:
        if title_and_head(page)[1] is None:
            number += 1
            title, rest = page.read_text().split("\n", 1)
            page.write_text(f"{title}\n\n*Decision {number}, {datetime.now(UTC).date()}, accepted*\n{rest}")
    rows = {}
    for page in pages:
        title, head = title_and_head(page)
        if head is not None:
            rows[int(head[1])] = f"| {head[1]} | [{title}]({page.name}) | {head[2]} | {head[3]} |\n"
    (FOLDER / "README.md").write_text(INTRODUCTION + "".join(rows[number] for number in sorted(rows)))


if __name__ == "__main__":
    main()
