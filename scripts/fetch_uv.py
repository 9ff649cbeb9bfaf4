"""Downloads the uv wheel from PyPI, checks its hash and unpacks its binary. Standard library only, Python 3.8 or newer.

Usage: fetch_uv.py VERSION DIRECTORY   leaves DIRECTORY/bin/uv
"""

import hashlib
import io
import os
import platform
import sys
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/uv/"


class Links(HTMLParser):
    """The addresses on a page of a package index; each ends in #sha256=<hash of the file>."""

    def __init__(self) -> None:
        super().__init__()
        self.found = []  # type: list[str]

    def handle_starttag(self, tag: str, attrs: "list[tuple[str, str | None]]") -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def suits_this_machine(filename: str) -> bool:
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if sys.platform == "darwin":
        system, machine = "macosx", {"aarch64": "arm64"}.get(machine, machine)
    else:
        system = "musllinux" if any(Path("/lib").glob("ld-musl-*")) else "manylinux"
    tags = filename[: -len(".whl")].split("-")[-1].split(".")
    return any(tag.startswith(system) and tag.endswith(machine) for tag in tags)


def download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (the addresses come from the package index)
        content: bytes = answer.read()
    return content


def find_wheel(version: str) -> "tuple[str, str]":
    """The address of the wheel for this machine and the hash its file must have."""
    page = Links()
    page.feed(download(INDEX).decode())
    for link in page.found:
        url, fragment = urldefrag(urljoin(INDEX, link))
        filename = url.rsplit("/", 1)[-1]
        if filename.startswith(f"uv-{version}-") and filename.endswith(".whl") and suits_this_machine(filename):
            return url, fragment[len("sha256=") :]
    raise SystemExit(f"{INDEX} has no uv {version} for {platform.machine()} on {sys.platform}.")


def main(version: str, directory: str) -> None:
    url, expected = find_wheel(version)
    content = download(url)
    if hashlib.sha256(content).hexdigest() != expected:
        raise SystemExit(f"{url} does not have the hash that the index announces.")
    target = Path(directory, "bin", "uv")
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        target.write_bytes(archive.read(member))
    target.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
