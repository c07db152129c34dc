"""The packed winner as MLflow loads it (`mlflow.pyfunc`): a model from code, so that nothing is pickled."""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from auscult.prediction.pack import read
from auscult.prediction.rows import predict_rows


class Winner(PythonModel):
    """Recordings to predictions, see `rows.predict_rows`."""

    def load_context(self, context) -> None:
        """Read the pack; networks are opened by each prediction."""
        self.packed = read(Path(context.artifacts["pack"]))

    def predict(self, context, model_input, params=None):
        """A table with `case, audio` and more in, a table of predictions out."""
        return predict_rows(self.packed, model_input)


set_model(Winner())
