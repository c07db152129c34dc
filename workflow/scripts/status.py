"""Print what is finished, running and still to do in the studies. Reads files and plans a run; starts nothing.

make status [STUDIES=a,b] [ROOT=DIR]
"""

import fcntl
import subprocess
import sys
from pathlib import Path


def main(studies: str, root: str) -> None:
    """Print a line per study, and the number of jobs still to run in all of them."""
    config = [f"{key}={value}" for key, value in (("studies", studies), ("root", root)) if value]
    all_studies = sorted(path.stem for path in Path("config/studies").glob("*.yaml"))
    for folder in [Path("results", name) for name in (studies.split(",") if studies else all_studies)]:
        if not (folder / ".lock").is_file():
            if studies:
                print(f"study {folder.name}: not begun")
            continue
        networks = list(folder.glob("networks/*/*/*"))
        trainings, scorings = (
            sum((path / name).is_file() for path in networks) for name in ("manifest.json", "outputs.h5")
        )
        state = lock_state(folder / ".lock")
        print(f"study {folder.name}: {state}; {trainings} networks trained, {scorings} scored", end="")
        print(", report written" if (folder / "report.html").is_file() else "")
        for path in networks:
            if (path / "checkpoint.safetensors").is_file():
                print(f"  begun: {path.relative_to(folder / 'networks')}")
    plan = [
        Path(sys.executable).parent / "snakemake",
        "-n",
        "--quiet",
        "reason",
        "--cores",
        "1",
        *(["--config", *config] if config else []),
    ]
    process = subprocess.run(plan, capture_output=True, text=True)
    text = process.stdout + process.stderr
    if process.returncode:
        sys.exit(text)
    start = text.find("Job stats:")
    print("left:", text[start:].split("\n\n")[0].removeprefix("Job stats:") if start >= 0 else "nothing")


def lock_state(lock: Path) -> str:
    """Whether a Snakemake process has locked the study."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"running (process {file.read().strip()})"
    return "not running"


if __name__ == "__main__":
    main(*[*sys.argv[1:], "", ""][:2])
