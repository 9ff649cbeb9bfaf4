"""Pins the packages of the workspace to one version of one another, for a release. Standard library only.

Usage: pin_siblings.py VERSION   changes the pyproject.toml of every package
"""

import re
import sys
import tomllib
from pathlib import Path


def packages(root: Path) -> dict[Path, str]:
    """Return the pyproject.toml of every package of the workspace and its name."""
    files = sorted(file for folder in ("libs", "services", "apps") for file in root.glob(f"{folder}/*/pyproject.toml"))
    return {file: tomllib.loads(file.read_text())["project"]["name"] for file in files}


def main(version: str, root: Path) -> None:
    ours = packages(root)
    for file in ours:
        text = file.read_text()
        for name in ours.values():
            text = re.sub(rf'^(    "{re.escape(name)})",$', rf'\g<1>=={version}",', text, flags=re.MULTILINE)
        file.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1], Path(__file__).parents[1])
