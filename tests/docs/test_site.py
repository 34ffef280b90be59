"""The documentation builds as a site without a broken link, and its pages load nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="needs the extra docs")
pytest.importorskip("material", reason="needs the extra docs")
ROOT = Path(__file__).parents[2]
# What a browser fetches by itself; a link that a reader follows is none of it.
LOADS = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>""", re.IGNORECASE)
STYLES = re.compile(
    r"""<link\b[^>]*rel=["']?(?:stylesheet|preconnect|preload|icon)[^>]*(?:https?:)?//[^>]*>""", re.IGNORECASE
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert {"index.html", "commands.html", "extending.html", "security.html"} <= {page.name for page in pages}
    for page in pages:
        text = page.read_text("utf-8")
        assert LOADS.findall(text) == [], page.name
        assert STYLES.findall(text) == [], page.name


def test_links_out_of_docs_are_plain_names_where_the_repository_is_not_known(site):
    text = (site / "architecture.html").read_text("utf-8")
    assert "types.py" in text
    assert 'types.py"' not in text


def test_every_page_of_docs_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}" in nav, page.name
