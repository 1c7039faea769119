"""The files of the Python package ukis-csmask, installed or as a wheel; none of its code is run."""

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path

from geocompose.errors import UserError

NAME = "ukis_csmask"
ADVICE = (
    "Install it (pip install --no-deps ukis-csmask==1.0.0), or name a wheel by --package "
    "(pip download --no-deps ukis-csmask==1.0.0)."
)


@dataclass(frozen=True)
class Package:
    """Where the package is.

    place: the folder in which `ukis_csmask` lies, or a wheel. version: such as 1.0.0. information: the name of the
    folder of its metadata.
    """

    place: Path
    version: str
    information: str

    def read(self, name: str) -> bytes:
        """Return what one of its files holds.

        Raises:
            UserError: there is no such file.
        """
        return self._content(f"{NAME}/{name}")

    def licence(self) -> str:
        """Return the text of its licence."""
        return self._content(f"{self.information}/licenses/LICENSE").decode()

    def _content(self, name: str) -> bytes:
        try:
            if self.place.is_dir():
                return (self.place / name).read_bytes()
            with zipfile.ZipFile(self.place) as wheel:
                return wheel.read(name)
        except (FileNotFoundError, KeyError) as error:
            raise UserError(f"{self.place} has no {name}: it isn't ukis-csmask 1.0.0. {ADVICE}") from error


def find_package(path: Path | None) -> Package:
    """Return the package: a wheel, a folder `ukis_csmask`, or, by None, the installed one.

    Raises:
        UserError: it isn't there; says how to get it.
    """
    if path is None:
        spec = importlib.util.find_spec(NAME)
        if spec is None or spec.origin is None:
            raise UserError(f"ukis-csmask is not installed. {ADVICE}")
        path = Path(spec.origin).parent
    if path.is_dir():
        place, names = path.parent, [entry.name for entry in path.parent.glob(f"{NAME}-*.dist-info")]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            place, names = path, sorted({name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name})
    else:
        raise UserError(f"{path} is neither a wheel nor a folder. {ADVICE}")
    if len(names) != 1 or not names[0].startswith(f"{NAME}-"):
        raise UserError(f"{path} isn't ukis-csmask: it has {len(names)} folders of metadata. {ADVICE}")
    return Package(place, names[0].removeprefix(f"{NAME}-").removesuffix(".dist-info"), names[0])
