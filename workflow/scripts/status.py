"""What of the studies is done, running and left: reads files and plans a run, starts nothing.

make status [STUDIES=a,b] [ROOT=DIR]
"""

import fcntl
import subprocess
import sys
from pathlib import Path


def main(studies: str, root: str) -> None:
    """Print a line per study, and the jobs that are left over all of them."""
    config = [f"{key}={value}" for key, value in (("studies", studies), ("root", root)) if value]
    known = sorted(path.stem for path in Path("config/studies").glob("*.yaml"))
    for folder in [Path("results", name) for name in (studies.split(",") if studies else known)]:
        if not (folder / ".lock").is_file():
            if studies:
                print(f"study {folder.name}: not begun")
            continue
        networks = list(folder.glob("networks/*/*/*"))
        trained = sum((path / "manifest.json").is_file() for path in networks)
        scored = sum((path / "outputs.h5").is_file() for path in networks)
        begun = [path for path in networks if (path / "checkpoint.safetensors").is_file()]
        print(f"study {folder.name}: {holder(folder / '.lock')}; {trained} networks trained, {scored} scored", end="")
        print(", report written" if (folder / "report.html").is_file() else "")
        for path in begun:
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
    done = subprocess.run(plan, capture_output=True, text=True)
    words = done.stdout + done.stderr
    if done.returncode:
        sys.exit(words)
    start = words.find("Job stats:")
    print("left:", words[start:].split("\n\n")[0].removeprefix("Job stats:") if start >= 0 else "nothing")


def holder(lock: Path) -> str:
    """Whether a Snakemake holds the study."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"running (process {file.read().strip()})"
    return "not running"


if __name__ == "__main__":
    main(*[*sys.argv[1:], "", ""][:2])
