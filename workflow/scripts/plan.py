"""Look at a folder of recordings and write a first study for it."""

import math
import sys
import tempfile
from pathlib import Path

from auscult.first_study.choices import choose
from auscult.first_study.fingerprint import fingerprint
from auscult.first_study.text import study_file
from auscult.studies import load_study
from common import plain_errors

plain_errors()
p = snakemake.params
file = Path(p.study)
recordings = fingerprint(Path(p.recordings), file.stem, p.form, snakemake.threads)
draft = choose(recordings)
text = study_file(draft)
with tempfile.TemporaryDirectory() as folder:
    Path(folder, file.name).write_text(text, encoding="utf-8")
    load_study(file.stem, Path(folder))
with file.open("x", encoding="utf-8") as new:  # never over another one
    new.write(text)
lines = [
    *(f"wrote {table}: sound files in folders named by class" for table in recordings.new_tables),
    f"wrote {file}: {draft.trainings} trainings, about {math.ceil(draft.minutes)} minutes on this machine's cores, "
    f"beside the start of about {2 * draft.trainings + 25} jobs, some seconds each",
    f"read it, then run: snakemake --cores all --resources gpu=1 --config studies={file.stem}",
]
print(*lines, sep="\n", file=sys.stderr)
Path(snakemake.log[0]).write_text("\n".join(lines) + "\n", encoding="utf-8")
