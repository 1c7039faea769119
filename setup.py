"""What pyproject.toml can't say: an installed package holds the configuration of the checkout's top level, conf/."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfiguration(build_py):
    """Copies conf/ into the package that is built; an editable installation uses that of the checkout."""

    def run(self) -> None:
        """Build the package, then copy what lies beside it."""
        super().run()
        if self.editable_mode:
            return
        shutil.rmtree(Path(self.build_lib, "geocompose", "conf"), ignore_errors=True)  # of an earlier build
        for file in sorted(Path("conf").rglob("*.yaml")):
            target = Path(self.build_lib, "geocompose", file)
            self.mkpath(str(target.parent))
            self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildWithConfiguration})
