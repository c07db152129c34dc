"""Draw the figures of a study."""

from pathlib import Path

from auscult.config.study import Study
from auscult.figures.results import draw_all
from auscult.provenance import write_text
from auscult.result_tables import read_rows, read_table
from common import begin, read_histories, read_importances

begin(snakemake)
folder = Path(snakemake.output.figures).parent
figures = draw_all(
    Study.model_validate(snakemake.params.study),
    read_rows(snakemake.input.predictions),
    read_table(snakemake.input.tables),
    read_histories(snakemake.input.histories),
    read_importances(snakemake.input.importances),
    folder,
)
write_text(snakemake.output.figures, figures.to_csv(index=False))
