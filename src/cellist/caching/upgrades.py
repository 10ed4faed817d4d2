"""What is said of a result that was recorded under other versions of the libraries it uses.

Those versions count as the same for the key; who wonders about a result should know of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any


def upgrades(packages: Iterable[tuple[str, str]], header: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each library that had another version when a result was recorded."""
    recorded = {one[1]: one[3] for one in header.get("components") or () if one[0] == "package"}
    return [
        f"{name} {recorded[name]} when recorded, {version} now"
        for name, version in packages
        if recorded.get(name, version) != version
    ]
