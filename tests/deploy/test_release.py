"""The release: one version for all packages, and workflows that GitHub accepts."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(file for folder in ("libs", "services", "apps") for file in ROOT.glob(f"{folder}/*/pyproject.toml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_the_version_comes_from_the_tag(file: Path) -> None:
    content = tomllib.loads(file.read_text())
    assert content["project"]["dynamic"] == ["version"]
    assert content["tool"]["hatch"]["version"]["source"] == "vcs"
    assert content["tool"]["hatch"]["version"]["raw-options"]["root"] == "../.."


def test_packages_of_a_release_need_one_another_in_its_version(tmp_path: Path) -> None:
    for file in [*PROJECTS, ROOT / "scripts" / "pin_siblings.py"]:
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    subprocess.run([sys.executable, tmp_path / "scripts" / "pin_siblings.py", "1.2.3"], check=True)
    projects = [tomllib.loads((tmp_path / file.relative_to(ROOT)).read_text())["project"] for file in PROJECTS]
    names = {project["name"] for project in projects}
    needed = [need for project in projects for need in project.get("dependencies", []) if need.split("==")[0] in names]
    assert needed
    assert all(need.endswith("==1.2.3") for need in needed)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_jobs_have_a_limit_and_few_rights(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "uses" in job or "timeout-minutes" in job, name
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(workflow["jobs"]), name
