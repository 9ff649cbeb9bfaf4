"""The pages name modules, files and settings that exist, and their links lead somewhere."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(ROOT / "tests").rglob("README.md"),
    ]
)
SOURCES = sorted(ROOT.glob("*/*/src/*/"))
PACKAGES = [source.name for source in SOURCES]
TOP = r"libs|services|apps|docs|deploy|bench|tests|scripts|examples|\.github|\.ci|\.devcontainer"
# Named in the pages because they do not or need not exist.
ABSENT = {"utils.py", "helpers.py", "common.py", ".tools", "docs/decisions/", "dist"}
DOTTED = re.compile(rf"({'|'.join(PACKAGES)})((?:\.\w+)+)(?:\(.*\))?")
PATH = re.compile(rf"(?:\./)?((?:{TOP}|{'|'.join(PACKAGES)})/[\w./*-]*)")
FILE = re.compile(r"[\w./-]+\.py")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def code_spans(page: Path) -> Iterator[str]:
    # A changelog may use names of the past.
    if page.name != "CHANGELOG.md":
        yield from re.findall(r"`([^`\n]+)`", prose(page))


def file_exists(name: str) -> bool:
    """Return whether a path is one of the repository, of a package's sources, or the end of one of those."""
    name = name.removesuffix("/")
    roots = [ROOT, *(source.parent for source in SOURCES), *SOURCES]
    return any(root.joinpath(name).exists() or ("*" in name and any(root.glob(name))) for root in roots)


def file_exists_somewhere(name: str) -> bool:
    return file_exists(name) or any(
        found.as_posix().endswith(f"/{name}")
        for top in ("libs", "services", "apps", "tests", "bench", "scripts")
        for found in (ROOT / top).rglob(Path(name).name)
    )


def name_exists(package: str, attributes: str) -> bool:
    """Return whether `package.module.Class.member` can be imported."""
    parts = attributes.removeprefix(".").split(".")
    target: object = importlib.import_module(package)
    for count, part in enumerate(parts):
        try:
            target = importlib.import_module(".".join([package, *parts[: count + 1]]))
            continue
        except ModuleNotFoundError:
            pass
        fields = getattr(target, "__annotations__", {}) if isinstance(target, type) else {}
        if not hasattr(target, part):
            return part in fields
        target = getattr(target, part)
    return True


def headings(page: Path) -> set[str]:
    """Return the anchors that the headings of a page get."""
    lines = re.findall(r"^#+ +(.+)$", prose(page), flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).lower() for line in lines]
    return {re.sub(r"[^\w\- ]", "", line).strip().replace(" ", "-") for line in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), target
        if anchor and other.suffix == ".md":
            assert anchor in headings(other), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_modules_and_files_exist(page: Path) -> None:
    missing = []
    for span in code_spans(page):
        if span in ABSENT:
            continue
        if dotted := DOTTED.fullmatch(span):
            if span.endswith((".toml", ".json", ".sh", ".md", ".yml")) or name_exists(*dotted.groups()):
                continue
        elif path := PATH.fullmatch(span):
            if file_exists(path[1]):
                continue
        elif not FILE.fullmatch(span) or file_exists_somewhere(span):
            continue
        missing.append(span)
    assert not missing


def test_every_decision_has_a_number_a_date_and_a_line_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    rows = re.findall(
        r"^\| (\d+) \| \[(.+)\]\((.+\.md)\) \| (\S+) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE
    )
    index = {name: (title, f"*Decision {number}, {date}, {status}*") for number, title, name, date, status in rows}
    pages = {page.name: page.read_text().split("\n", 3) for page in folder.glob("*.md") if page.name != "README.md"}
    assert {name: (lines[0].removeprefix("# "), lines[2]) for name, lines in pages.items()} == index, "Run: make docs"
    assert len({head for _, head in index.values()}) == len(index)
