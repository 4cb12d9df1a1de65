"""The frame of the project agrees with what is in it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any  # pyproject.toml is a tree of anything.

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("client", "cluster", "node", "proto")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


APART = ROOT / "tests" / "programs" / "scripts"  # They have an environment of their own.


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if APART not in path.parents]


def imported(path: Path) -> set[str]:
    """The top names of what this file imports from outside its own package."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(
                "google.protobuf"
                if node.module.startswith("google.protobuf")
                else node.module.partition(".")[0]
            )
    return names


def distributions(requirements: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9_.-]+", one) for one in requirements)
    return {match.group().lower().replace("_", "-") for match in names if match}


def test_pyproject_lists_every_package_of_the_tree(project: dict[str, Any]) -> None:
    found = {"trimaran"}
    for path in sources(*PARTS):
        found.add(".".join(("trimaran", *path.parent.relative_to(ROOT).parts)))
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(found)


def test_every_package_has_its_init_file(project: dict[str, Any]) -> None:
    for name in project["tool"]["setuptools"]["packages"]:
        folder = ROOT.joinpath(*name.split(".")[1:])
        assert (folder / "__init__.py").is_file(), folder


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("client", "cluster"), ("opentelemetry",)),
        (("proto", "node"), ("server",)),
        (("tests",), ("server", "test")),
    ],
)
def test_what_is_imported_is_declared(
    project: dict[str, Any], folders: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    declared = distributions(project["project"]["dependencies"])
    for extra in extras:
        declared |= distributions(project["project"]["optional-dependencies"][extra])
    homes = packages_distributions()
    for path in sources(*folders):
        for name in imported(path) - set(sys.stdlib_module_names) - {"trimaran", "tests"}:
            top = name.partition(".")[0]
            home = {"protobuf"} if name == "google.protobuf" else set(homes.get(top, ()))
            known = {one.lower().replace("_", "-") for one in home}
            assert known & declared, f"{path.relative_to(ROOT)} imports {name}: not declared"


def test_only_tools_are_pinned_exactly(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    for one in [*project["project"]["dependencies"], *extras["server"], *extras["test"]]:
        assert "==" not in one or one.startswith("lupa==")  # Whose steps are counted.


def test_pure_packages_are_all_under_the_import_rule(project: dict[str, Any]) -> None:
    (rule,) = (
        one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "forbidden"
    )
    pure = ["cluster", "node/commands", "node/data", "node/raft", "node/scripting"]
    pure += [
        one for one in ("node/pubsub", "node/shard", "proto/resp") if (ROOT / f"{one}.py").is_file()
    ]
    assert sorted(rule["source_modules"]) == sorted(
        f"trimaran.{one.replace('/', '.')}" for one in pure
    )


def test_nothing_heavy_is_loaded_by_the_root_package_or_the_command_line() -> None:
    code = (
        "import sys, trimaran, trimaran.client.cli;"
        "print(*sorted({'grpc', 'asyncio', 'redis', 'trimaran.node', 'google.protobuf'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.split() == []


def test_the_root_package_knows_its_version(project: dict[str, Any]) -> None:
    import trimaran

    assert trimaran.__version__ == project["project"]["version"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        trimaran.nothing  # noqa: B018  # The access is the test.


def test_the_changelog_begins_with_the_version(project: dict[str, Any]) -> None:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading.group(1) == project["project"]["version"]


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} points at {target}"


def test_generated_code_is_what_the_proto_files_say(tmp_path: Path) -> None:
    """`make proto` leaves no diff."""
    (tmp_path / "trimaran").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "trimaran" / "proto").symlink_to(ROOT / "proto")
    files = [f"trimaran/proto/{path.name}" for path in sorted((ROOT / "proto").glob("*.proto"))]
    assert files
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", "."),
            *(f"--{kind}_out=out" for kind in ("python", "pyi")),
            *files,
        ],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    made = sorted((tmp_path / "out" / "trimaran" / "proto").iterdir())
    assert made
    for path in made:
        assert path.read_text() == (ROOT / "proto" / path.name).read_text(), path.name
