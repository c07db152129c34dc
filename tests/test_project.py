"""What holds the project together: import directions, generated reference, pins, rules that say what they are."""

import ast
import json
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from auscult import provenance, reference
from auscult.cache.store import LIBRARIES, versions
from auscult.prediction import bundle

TOP = Path(__file__).resolve().parents[1]
LIBRARY = TOP / "workflow/auscult"
# in the order of the picture; each may import those before it
ORDER = [
    "plan",
    "metrics",
    "heads",
    "datasets",
    "folds",
    "cache",
    "features",
    "networks",
    "training",
    "pretraining",
    "inference",
    "decisions",
    "fusion",
    "evaluation",
    "figures",
    "report",
    "listening",
    "prediction",
    "first_study",
]
CONFIG = {f"auscult.config.{path.stem}" for path in (LIBRARY / "config").glob("[!_]*.py")}
ANYONE = {"auscult", "auscult.provenance", "auscult.progress", "auscult.result_tables", *CONFIG}


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or a package of the library."""
    path = TOP.joinpath("workflow", *name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports(path: Path) -> list[str]:
    """Modules of the library that a file imports by name."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if is_module(name) else node.module for name in whole]
    return [name for name in names if name.split(".")[0] == "auscult"]


def wrong_imports(library: Path) -> list[str]:
    """Imports against the order of the picture."""
    wrong = []
    for path in library.rglob("*.py"):
        stage = path.relative_to(library).parts[0]
        if stage not in ORDER:
            continue
        for name in imports(path):
            to = name.split(".")[1] if "." in name else ""
            if name not in ANYONE and (to not in ORDER or ORDER.index(to) > ORDER.index(stage)):
                wrong.append(f"{path.relative_to(library)} imports {name}")
    return wrong


def test_imports_go_one_way():
    assert wrong_imports(LIBRARY) == []


def test_no_file_imports_itself_by_a_detour():
    graph = {}
    for path in LIBRARY.rglob("*.py"):
        name = ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module in imports(path) if module != name}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_an_import_against_the_flow_is_found(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/bad.py").write_text("from auscult.training.loop import fit\n")
    assert wrong_imports(tmp_path) == ["cache/bad.py imports auscult.training.loop"]


@pytest.mark.parametrize("name", ["formulas", "intervals"])
def test_the_metrics_import_nothing_of_the_library(name):
    assert imports(LIBRARY / f"metrics/{name}.py") == []


@pytest.mark.parametrize("name", sorted(CONFIG))
def test_configuration_imports_only_itself(name):
    assert set(imports(LIBRARY / f"config/{name.split('.')[-1]}.py")) <= CONFIG


def test_only_tracking_and_the_bundle_import_mlflow():
    importing = {p.name for p in LIBRARY.rglob("*.py") if re.search(r"^\s*(from|import) mlflow", p.read_text(), re.M)}
    assert importing == {"tracking.py", "bundle.py", "served.py"}


def test_the_library_knows_no_snakemake():
    knowing = [p.name for p in LIBRARY.rglob("*.py") if re.search(r"^\s*(from|import) snakemake", p.read_text(), re.M)]
    assert knowing == []


def test_scripts_are_short():
    long = {p.name: n for p in (TOP / "workflow/scripts").glob("*.py") if (n := len(p.read_text().splitlines())) > 40}
    assert set(long) <= {"common.py", "status.py", "network_job.py"}


def test_every_file_says_what_it_is_for():
    assert [str(p) for p in LIBRARY.rglob("*.py") if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_the_generated_reference_is_current():
    """`make reference` writes both."""
    assert (TOP / "config/README.md").read_text() == reference.readme()
    assert (TOP / "config/schema.json").read_text() == reference.schema()


def test_every_model_of_a_study_is_in_the_reference():
    sections = {line.removeprefix("### ") for line in reference.readme().splitlines() if line.startswith("### ")}
    assert set(json.loads(reference.schema())["$defs"]) <= sections


# tuning, downloads, releases of records; formats of encoders, where a pack has one
ONLY_AT_HOME = {"optuna", "requests", "urllib3", "wfdb", "onnxruntime", "ai-edge-litert"}


def packages_imported(files: list[Path]) -> set[str]:
    """Packages of others that files and all that they import import."""
    called = {"sklearn": "scikit-learn", "yaml": "pyyaml", "ai_edge_litert": "ai-edge-litert"}
    imported = set()
    for path in provenance.closure(files):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                words = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                imported |= {called.get(word.split(".")[0], word.split(".")[0]) for word in words}
    return imported - {*sys.stdlib_module_names, "auscult"}


def test_a_bundle_asks_for_all_packages_that_it_imports():
    """Networks, front ends and tables of numbers are imported by name, where they are used."""
    plugins = [
        path for folder in ("networks", "features", "decisions/rules") for path in (LIBRARY / folder).rglob("*.py")
    ]
    imported = packages_imported([LIBRARY / "prediction/served.py", *plugins])
    assert {"antropy", "librosa", "torch"} <= imported
    assert imported - ONLY_AT_HOME <= set(bundle.PACKAGES)


def test_an_environment_with_the_packages_of_a_bundle_alone_knows_its_versions(monkeypatch):
    installed = metadata.version

    def version(name):
        if name not in bundle.PACKAGES:
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", version)
    assert set(versions()) == set(LIBRARIES) & set(bundle.PACKAGES)


# tables and files, models of settings, progress: they change no value
COMPUTE_NOTHING = {"h5py", "pandas", "pydantic", "pyyaml", "rich", "safetensors", "threadpoolctl", "common"}


def test_caches_and_networks_depend_on_the_versions_of_all_libraries_that_compute_them():
    scripts = [TOP / f"workflow/scripts/{name}.py" for name in ("cache_audio", "extract_features", "describe")]
    imported = packages_imported([*scripts, *(LIBRARY / "features").rglob("*.py")])
    assert {"wfdb", "onnxruntime", "soxr"} <= imported
    assert imported - COMPUTE_NOTHING <= set(LIBRARIES)


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("evaluation.external", "sklearn"),
        ("decisions.decide", "sklearn"),
        ("evaluation.tables", "scipy.stats"),
        ("fusion.fuse", "scipy.signal"),
        ("features.tables", "scipy.signal"),
    ],
)
def test_jobs_do_not_load_what_they_may_not_need(module, slow):
    code = f"import auscult.{module}, sys; sys.exit({slow!r} in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(TOP / "workflow")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_conda_pins_equal_the_lock():
    lines = (line.split(";")[0] for line in (TOP / "requirements.lock").read_text().splitlines())
    lock = dict(line.split("==") for line in lines if "==" in line)
    lock = {name.lower().replace("_", "-"): version for name, version in lock.items()}
    environment = yaml.safe_load((TOP / "envs/auscult.yaml").read_text())
    pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    pins = dict(line.split("==") for line in pip)
    assert len(pins) > 15 and all(lock[name] == version for name, version in pins.items())


def rules() -> dict[str, str]:
    """Text of every rule by name."""
    text = "\n".join(path.read_text() for path in sorted((TOP / "rules").glob("*.smk")))
    parts = re.split(r"^ *rule (\w+):\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


GATHER = ("explain", "predict", "validate", "bundle")  # rules without a job of their own


@pytest.mark.parametrize("name", [name for name in rules() if name not in GATHER])
def test_every_rule_says_what_it_does_and_needs(name):
    body = rules()[name]
    assert body.lstrip().startswith('"""')
    for key in ("log:", "resources:", "mem_mb=", "runtime=", "conda:", "script:"):
        assert key in body, key
    if name not in ("download", "plan"):
        assert "benchmark:" in body and "threads:" in body


@pytest.mark.parametrize(
    "words",
    [["--list"], ["--lint"], ["-n", "--forceall", "--config", "studies=demo"]],
    ids=["list", "lint", "dry run"],
)
def test_snakemake_explains_itself(words):
    snakemake = Path(sys.executable).parent / "snakemake"
    done = subprocess.run([snakemake, *words, "--cores", "2"], cwd=TOP, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    if words[0] != "--lint":
        assert ("train" if words[0] == "-n" else "Train one network on one fold") in said


def lines_of_functions() -> int:
    """Lines of all functions in rules/, with their docstrings."""
    count = 0
    for path in (TOP / "rules").glob("*.smk"):
        inside = False
        for line in path.read_text().splitlines():
            inside = line.startswith("def ") or (inside and (not line or line[0] in " )"))
            count += inside and bool(line)
    return count


def test_rules_are_tables_without_much_code():
    """What jobs read and where files lie is said by auscult.plan, which is tested without Snakemake."""
    assert 30 < lines_of_functions() <= 60
