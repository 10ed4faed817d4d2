"""Which distribution a library's module belongs to."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from cellist.caching import packages


@pytest.fixture(autouse=True)
def _looked_up_anew():
    packages.distribution_of.cache_clear()
    packages._providers.cache_clear()
    yield
    packages.distribution_of.cache_clear()
    packages._providers.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """An empty directory of installed packages, the only one there is."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def install(site: Path, name: str, record: str | None, top_level: str | None = None) -> None:
    folder = site / f"{name.replace('-', '_')}-1.5.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    if record is not None:
        (folder / "RECORD").write_text(record)
    if top_level is not None:
        (folder / "top_level.txt").write_text(top_level)


def test_modules_belong_to_the_distributions_that_python_itself_would_name():
    theirs = metadata.packages_distributions()
    names = {top: min(given) for top, given in theirs.items() if top.isidentifier()}
    ours = packages._providers()
    assert {top: min(one.metadata["Name"] for one in ours[top]) for top in names} == names


@pytest.mark.parametrize(
    ("record", "top_level"),
    [
        (None, "other\nshown\n"),
        ("other/x.py,,\n", "shown"),
        ("shown/__init__.py,sha256=ab,12\n", None),
        ("a_1.5.dist-info/RECORD,,\nshown.py,sha256=ab,12\n", None),
        ("shown.cpython-311-x86_64-linux-gnu.so,sha256=ab,12\n", ""),
        ('shown/"a,b".py,sha256=ab,12\n../../bin/shown,,\n', None),
    ],
)
def test_a_module_goes_by_the_distribution_it_is_part_of(site, record, top_level):
    install(site, "a-distribution", record, top_level)
    install(site, "bystander", "shown_too/__init__.py,,\nshown.txt,,\nnot/shown/x.py,,\n")
    assert packages.distribution_of("shown") == ("a-distribution", "1.5")


def test_of_several_distributions_with_one_module_the_first_by_name_counts(site):
    for name in ("space-two", "space-one", "space-three"):
        install(site, name, f"space/{name}/x.py,,\n")
    assert packages.distribution_of("space") == ("space-one", "1.5")


def test_a_module_of_no_distribution_is_one_of_its_own(site):
    install(site, "bystander", "other/__init__.py,,\n")
    assert packages.distribution_of("shown") == ("shown", "")


def test_descriptions_of_other_distributions_are_not_read(site, monkeypatch):
    for number in range(5):
        install(site, f"bystander-{number}", f"other{number}/__init__.py,,\n")
    install(site, "a-distribution", "shown/__init__.py,,\n")
    read: list[str] = []
    read_text = metadata.PathDistribution.read_text

    def noted(self, filename):
        if filename == "METADATA":
            read.append(str(self._path))
        return read_text(self, filename)

    monkeypatch.setattr(metadata.PathDistribution, "read_text", noted)
    assert packages.distribution_of("shown") == ("a-distribution", "1.5")
    assert read
    assert all("a_distribution" in path for path in read)
