"""A wheel carries what a workspace begins with: notebooks, studies and the tiny foundations."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("notebooks", "studies", "data/foundations/tiny")


class BuildWithWorkspace(build_py):
    """Copies `SHIPPED` to ``muse_core/workspace``; an editable install has them in its checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for place in SHIPPED:
            target = Path(self.build_lib, "muse_core", "workspace", place)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(place, target, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))


setup(cmdclass={"build_py": BuildWithWorkspace})
