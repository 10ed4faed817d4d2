"""Chromium for the browser tests: where it is, and how it gets onto a machine.

The browser is the system's own, never a download of a test tool: that is what users have, and it
needs no network but the system's package manager. `make test` runs this file first; a machine
where it can do nothing still tests all the rest and says what it left out.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
INSTALLERS: dict[str, list[list[str]]] = {
    "apt-get": [
        ["update", "-qq"],
        ["install", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
    ],
    "dnf": [["install", "--assumeyes", "--quiet", "chromium"]],
    "apk": [["add", "--quiet", "chromium", "font-dejavu"]],
    "brew": [["install", "--cask", "chromium"]],
}
PATIENCE = 900  # seconds for one command of a package manager


@cache
def find() -> str | None:
    """Return the path of a Chromium that starts, or None. CELLIST_CHROMIUM overrules the search."""
    chosen = os.environ.get("CELLIST_CHROMIUM")
    if chosen is not None:
        candidates = [chosen]
    else:
        candidates = [*filter(None, map(shutil.which, NAMES)), *APPLICATIONS]
    return next((path for path in candidates if starts(path)), None)


def starts(path: str) -> bool:
    """Whether the program there runs at all: Ubuntu's package is an empty shell without snap."""
    if not Path(path).is_file():
        return False
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def install() -> str | None:
    """Install Chromium where that needs no password; return why not, or None if it was done."""
    manager = next(filter(shutil.which, INSTALLERS), None)
    if manager is None:
        return f"none of {', '.join(INSTALLERS)} is here to install it"
    rights = rights_for(manager)
    if rights is None:
        return f"{manager} needs root, and sudo asks for a password"
    print(f"Chromium is missing: installing it with {manager} ...", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in INSTALLERS[manager]:
        command = [*rights, manager, *arguments]
        try:
            done = subprocess.run(
                command, env=quiet, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` took longer than {PATIENCE // 60} minutes"
        if done.returncode and arguments[0] != "update":  # old lists may still do
            return f"`{' '.join(command)}` failed"
    find.cache_clear()
    return None if find() else f"{manager} installed it, but it does not start"


def rights_for(manager: str) -> list[str] | None:
    """Return what to put before the command, or None where it would need a password."""
    if manager == "brew" or os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return None if asked.returncode else ["sudo", "-n"]


if __name__ == "__main__" and find() is None:
    reason = install()
    if reason:
        print(f"No Chromium, so no browser tests: {reason}.", file=sys.stderr)
