"""Look at a folder of recordings and write a first study for it."""

import sys
from pathlib import Path

from auscult.first_study.choices import choose
from auscult.first_study.fingerprint import fingerprint
from auscult.first_study.text import study_file
from auscult.studies import load_study
from common import plain_errors

plain_errors()
p = snakemake.params
file = Path(p.study)
mark = fingerprint(Path(p.recordings), file.stem, p.form, snakemake.threads)
for table in mark.written:
    print(f"wrote {table}: sound files in folders named by class", file=sys.stderr)
study = choose(mark)
with file.open("x", encoding="utf-8") as new:  # never over another one
    new.write(study_file(study))
load_study(file.stem, file.parent)
print(
    f"wrote {file}: {study.trainings} trainings, about {study.minutes:.0f} min on this machine's cores\n"
    f"read it, then run: snakemake --cores all --resources gpu=1 --config studies={file.stem}",
    file=sys.stderr,
)
