"""Refuse installed packages that are known to be malicious or broken."""

import sys
from importlib.metadata import PackageNotFoundError, version

KNOWN_BAD = {
    ("lightning", "2.6.2"): "malicious release, GHSA-w37p-236h-pfx3",
    ("lightning", "2.6.3"): "malicious release, GHSA-w37p-236h-pfx3",
    ("pytorch-lightning", "2.6.2"): "malicious release, GHSA-w37p-236h-pfx3",
    ("pytorch-lightning", "2.6.3"): "malicious release, GHSA-w37p-236h-pfx3",
}


def main() -> int:
    """Return 1 and print a line for each bad package that is installed, else 0."""
    found = 0
    for (name, bad), reason in KNOWN_BAD.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if installed == bad:
            print(f"{name} {bad} is installed: {reason}", file=sys.stderr)
            found = 1
    return found


if __name__ == "__main__":
    sys.exit(main())
