"""Prints what a node depends on, from pyproject.toml: a layer that outlives changes of the code."""

import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
sys.stdout.write("\n".join([*project["dependencies"], *project["optional-dependencies"]["server"]]))
