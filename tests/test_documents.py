"""The documents keep their word: commands are tested, pages are not stale, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted(p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def commands():
    return re.findall(r"```sh\n(.+?)\n```", README, re.S)


def test_the_readme_has_one_command_for_a_trial_and_one_for_the_tests():
    trial, tests = commands()[:2]
    assert "seatrial run scenarios/devnet/first.yaml" in trial
    assert tests in (ROOT / ".ci/run").read_text()


def test_the_generated_reference_is_not_stale():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_scenarios_of_the_documents_are_ones(page):
    from runner.scenario import load

    text = re.search(r"```yaml\n(.+?)\n```", (ROOT / page).read_text(), re.S).group(1)
    loaded = load(text)
    assert loaded.problems == []
