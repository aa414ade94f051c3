"""Print a constraints file that holds requirements of pyproject.toml at their lower bounds.

Usage: python .ci/lowest.py GROUP ..., where a group is "build", "project", or the name of an extra.
"""

import re
import sys
import tomllib
from pathlib import Path

settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
project = settings["project"]
groups = {"build": settings["build-system"]["requires"], "project": project["dependencies"]}
groups |= project["optional-dependencies"]
for requirement in (requirement for group in sys.argv[1:] for requirement in groups[group]):
    if requirement.startswith(f"{project['name']}["):
        continue  # another extra: a group of its own
    match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", requirement)
    if match is None:
        sys.exit(f"{requirement!r}: write it as NAME>=VERSION, so that its lower bound can be tested")
    print(f"{match[1]}=={match[2]}")
