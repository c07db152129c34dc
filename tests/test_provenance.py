"""Import closures, digests, and files that are written completely or not at all."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from auscult import provenance
from auscult.provenance import (
    LIBRARY,
    CodeError,
    closure,
    code_digest,
    digest,
    job_code,
    module_files,
    require_code,
    write_json,
    write_text,
)

SCRIPTS = LIBRARY.parent / "scripts"
SOURCES = {
    "__init__.py": "",
    "a.py": "import os\nimport auscult.deep.c\nfrom auscult import b\n",
    "b.py": "def late():\n    from auscult.deep import d\n    return d\n",
    "deep/__init__.py": "from auscult import base\n",
    "deep/c.py": "from auscult.a import something  # a circle\n",
    "deep/d.py": "from auscult.e import Thing\nimport numpy as np\n",
    "e.py": "'''import auscult.unused'''\n# import auscult.unused\nTEXT = 'from auscult import unused'\n",
    "base.py": "",
    "unused.py": "import auscult.a\n",
    "deep/unused.py": "",
}


def write_library(parent: Path) -> Path:
    library = parent / "auscult"
    for name, text in SOURCES.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(text)
    return library


@pytest.fixture
def library(tmp_path: Path, monkeypatch) -> Path:
    library = write_library(tmp_path)
    monkeypatch.setattr(provenance, "LIBRARY", library)
    return library


def names(files: list[Path], library: Path) -> list[str]:
    return [str(file.relative_to(library)) for file in files]


# ---------------------------------------------------------------- closure


def test_closure_contains_all_imported_files_and_no_others(library: Path) -> None:
    file_names = names(closure([library / "a.py"]), library)
    assert file_names == sorted(set(SOURCES) - {"unused.py", "deep/unused.py"})
    assert names(closure([library / "deep" / "d.py"]), library) == ["__init__.py", "deep/d.py", "e.py"]
    assert names(closure([library / "e.py"]), library) == ["e.py"]


def test_closure_of_several_files_is_sorted_and_without_duplicates(library: Path) -> None:
    files = [library / "e.py", library / "deep" / "d.py", library / "e.py"]
    assert closure(files) == closure(reversed(files)) == sorted(set(closure(files)))
    assert closure([]) == []


def test_closure_of_a_script_outside_the_library(library: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import numpy\nfrom auscult.deep.d import Thing\n")
    files = closure([script])
    assert script in files
    assert names([file for file in files if file != script], library) == [
        "__init__.py",
        "base.py",
        "deep/__init__.py",
        "deep/d.py",
        "e.py",
    ]


def test_files_of_a_module(library: Path) -> None:
    assert names(module_files("auscult.deep.c"), library) == ["__init__.py", "deep/__init__.py", "deep/c.py"]
    assert names(module_files("auscult.deep"), library) == ["__init__.py", "deep/__init__.py"]
    assert names(module_files("auscult"), library) == ["__init__.py"]
    assert names(module_files("auscult.deep.nothing"), library) == ["__init__.py", "deep/__init__.py"]
    assert module_files("numpy") == module_files("auscultation.a") == []


@pytest.mark.parametrize("module", ["auscult.datasets.circor", "auscult.datasets.folder", "auscult.folds.protocols"])
def test_closure_covers_what_python_loads(module: str) -> None:
    """A fresh interpreter imports the module; every file of the library that it loaded is in the closure."""
    code = (
        f"import sys, {module}\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'auscult'), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    loaded_files = {Path(line) for line in out.stdout.splitlines()}
    files_in_closure = set(closure(module_files(module)))
    assert loaded_files <= files_in_closure
    assert files_in_closure - loaded_files == set() or module == "auscult.folds.protocols"


def test_the_ingest_depends_on_no_later_stage() -> None:
    packages = {file.relative_to(LIBRARY).parts[0] for file in closure(module_files("auscult.datasets.circor"))}
    assert packages == {"__init__.py", "datasets", "provenance.py"}


def test_plug_ins_are_not_in_a_closure_unless_added() -> None:
    files = set(closure([SCRIPTS / "ingest.py"]))
    assert {LIBRARY / "datasets" / "base.py", LIBRARY / "datasets" / "audio.py", LIBRARY / "config/dataset.py"} <= files
    assert not {LIBRARY / "datasets" / "circor.py", LIBRARY / "datasets" / "folder.py"} & files
    assert not any("networks" in file.parts for file in files)
    assert not {LIBRARY / "config/systems.py", LIBRARY / "config/fusion.py"} & files


IMPORTS = [
    "from .deep import helper",
    "from .deep.helper import x",
    "from . import helper_here",
    "from auscult.deep import helper",
    "import auscult.deep.helper as h",
    "import importlib; importlib.import_module('auscult.deep.helper')",
    "from importlib import import_module; import_module('auscult.deep.helper')",
    "import beside_the_library",
    "def f():\n    from .deep import helper",
]


@pytest.mark.parametrize("statement", IMPORTS)
@pytest.mark.parametrize("name", ["progress", "tracking", "helper"])
def test_a_helper_changes_the_digest_however_it_is_imported_and_named(library: Path, statement: str, name: str) -> None:
    """Only the library's own progress.py and tracking.py are left out."""
    files = {
        "helper_here": library / f"{name}_here.py",
        "deep": library / f"deep/{name}.py",
        "beside": library.parent / f"{name}_beside.py",
    }
    statement = statement.replace("helper", name).replace("beside_the_library", f"{name}_beside")
    helper = files["beside" if "_beside" in statement else "helper_here" if "_here" in statement else "deep"]
    helper.write_text("x = 1\n")
    (library / "plugin.py").write_text(statement + "\n")
    provenance._imports.cache_clear()
    assert helper.resolve() in closure([library / "plugin.py"])
    before = code_digest(closure([library / "plugin.py"]))
    helper.write_text("x = 2\n")
    assert code_digest(closure([library / "plugin.py"])) != before


def test_a_relative_import_begins_from_the_right_package(library: Path) -> None:
    (library / "deep/plugin.py").write_text("from ..base import x\nfrom .d import Thing\n")
    found = names(closure([library / "deep/plugin.py"]), library)
    assert {"base.py", "deep/d.py"} <= set(found) and "deep/base.py" not in found


def test_the_library_has_no_relative_imports() -> None:
    """`closure` finds absolute imports only."""
    relative = [file for file in LIBRARY.rglob("*.py") if "\nfrom ." in file.read_text(encoding="utf-8")]
    assert relative == []


# ---------------------------------------------------------------- digests


def test_code_digest_is_of_content_and_names_not_of_order_or_time(library: Path) -> None:
    files = sorted(library.rglob("*.py"))
    before = code_digest(files)
    assert code_digest(reversed(files)) == code_digest([*files, files[0]]) == before
    os.utime(library / "a.py", (1, 1))
    assert code_digest(files) == before
    assert code_digest(files[1:]) != before
    (library / "a.py").write_text(SOURCES["a.py"] + "\n")
    assert code_digest(files) != before
    (library / "a.py").write_text(SOURCES["a.py"])
    assert code_digest(files) == before


def test_code_digest_depends_on_which_file_has_which_content(library: Path) -> None:
    before = code_digest(library.rglob("*.py"))
    (library / "e.py").rename(library / "f.py")
    renamed = code_digest(library.rglob("*.py"))
    (library / "f.py").write_text(SOURCES["b.py"])
    (library / "b.py").write_text(SOURCES["e.py"])
    assert len({before, renamed, code_digest(library.rglob("*.py"))}) == 3


def test_code_digest_is_the_same_in_another_checkout(library: Path, tmp_path: Path, monkeypatch) -> None:
    expected = code_digest(library.rglob("*.py"))
    other_library = write_library(tmp_path / "elsewhere" / "workflow")
    monkeypatch.setattr(provenance, "LIBRARY", other_library)
    assert code_digest(other_library.rglob("*.py")) == expected


def test_digest_depends_on_values_not_on_the_order_of_keys() -> None:
    value = {"a": [1, 2.5, None], "b": {"x": "ä", "y": True}}
    reordered = {"b": {"y": True, "x": "ä"}, "a": (1, 2.5, None)}
    assert digest(value) == digest(reordered) == hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    other_values = [
        {"a": [2.5, 1, None]},
        {"a": [1, 2.5]},
        {"a": "1"},
        {"a": 1},
        {"a": 1.5},
        {},
        [],
        None,
        Path("a"),
        "b",
    ]
    assert len({digest(other_value) for other_value in other_values}) == len(other_values)
    assert digest(Path("a/b")) == digest("a/b")


def test_digest_does_not_depend_on_the_process() -> None:
    code = "from auscult.provenance import digest; print(digest({'b': 1, 'a': ['x', {'d': 2, 'c': 3}]}))"
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent), "PYTHONHASHSEED": "7"}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest({"a": ["x", {"c": 3, "d": 2}], "b": 1})


# ---------------------------------------------------------------- files, versions


def test_files_are_written_completely_in_new_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "x.json"
    write_json(path, {"b": 1, "a": Path("p"), "ä": [None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "p", "b": 1, "ä": [None]}
    first = path.read_bytes()
    write_json(path, {"ä": [None], "a": "p", "b": 1})
    assert path.read_bytes() == first
    write_text(path, "ü\n")
    assert path.read_bytes() == "ü\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    def parts():
        yield "half of the new"
        full()

    with pytest.raises(OSError, match="No space left"):
        write_text(path, parts())
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "all of the new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "x.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "x.txt", "\ud800")
    assert (tmp_path / "x.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_environment_names_what_can_change_a_number() -> None:
    versions = provenance.environment()
    assert {"python", "platform", "auscult", *provenance.PACKAGES} == set(versions)
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(versions.values())


def test_the_commit_is_marked_if_files_differ_from_it(library: Path, tmp_path: Path, monkeypatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() == "unknown"
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)
    head = provenance.commit()
    assert len(head) == 12
    (tmp_path / "note.txt").write_text("not tracked")
    assert provenance.commit() == head
    own_network = tmp_path / "workflow/auscult/networks/mine.py"
    own_network.parent.mkdir(parents=True)
    own_network.write_text("a network that only this machine has")
    assert provenance.commit() == f"{head}+changes"
    own_network.unlink()
    assert provenance.commit() == head
    (library / "a.py").write_text("changed")
    assert provenance.commit() == f"{head}+changes"


@pytest.mark.parametrize("rule", ["decide", "pack_winner", "apply_winner", "validate_winner", "bundle_winner"])
def test_jobs_that_decide_have_all_decision_rules_among_their_code(rule: str) -> None:
    """A changed rule runs them again, and a new rule is among them automatically."""
    text = "".join(path.read_text() for path in (LIBRARY.parents[1] / "rules").glob("*.smk"))
    assert re.search(rf'code=(lambda w: )?code\(\s*"{rule}", \*DECISIONS', text)
    assert "DECISIONS = decision_rules.modules()" in text


# ---------------------------------------------------------------- code of jobs


@pytest.mark.parametrize(("script", "depends"), [("train", False), ("fuse", False), ("track", True)])
def test_an_edit_of_what_only_reports_counts_in_what_only_reports(tmp_path, monkeypatch, script, depends) -> None:
    shutil.copytree(LIBRARY.parent, tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path / "workflow" / "auscult")
    provenance._imports.cache_clear()
    before = job_code(script)
    for name, counts in (("tracking.py", depends), ("plan/names.py", None)):
        file = tmp_path / "workflow" / "auscult" / name
        file.write_text(file.read_text() + "\n# a remark\n")
        after = job_code(script)
        if counts is not None:
            assert (after != before) == counts
        before = after
    provenance._imports.cache_clear()


@pytest.mark.parametrize("seed", range(3))
def test_a_job_stops_where_its_code_has_changed_during_the_run(tmp_path, monkeypatch, seed) -> None:
    shutil.copytree(LIBRARY.parent, tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path / "workflow" / "auscult")
    provenance._imports.cache_clear()
    files = provenance.closure([tmp_path / "workflow/scripts/fuse.py"])
    code, others = job_code("fuse"), set((tmp_path / "workflow").rglob("*.py")) - set(files)
    now = time.time() - 1
    for file in (tmp_path / "workflow").rglob("*.py"):
        os.utime(file, (now - 100, now - 100))
    require_code(code, now)
    random = Random(seed)
    unread, read = random.choice(sorted(others)), random.choice(files)
    unread.write_text(unread.read_text() + "\n# a remark\n")
    os.utime(read)
    require_code(code, now)  # another file, and a new time stamp alone
    read.write_text(read.read_text() + "\n# a remark\n")
    if read.name not in ("progress.py", "tracking.py"):
        with pytest.raises(CodeError, match="has changed since the run began"):
            require_code(code, now)
    provenance._imports.cache_clear()


def test_every_job_with_a_script_has_its_code_as_a_parameter() -> None:
    texts = [file.read_text() for file in (LIBRARY.parents[1] / "rules").glob("*.smk")]
    with_script = [rule for text in texts for rule in text.split("\nrule ")[1:] if "    script:\n" in rule]
    parameters = {rule.partition(":")[0]: rule.partition("    params:")[2] for rule in with_script}
    without = {name for name, text in parameters.items() if "        code=" not in text}
    # they have no output file, or one that is never written again
    assert without == {"plan", "download", "init_tracking"} and len(parameters) > 25
