"""Encoders that others trained, from a file: ONNX, TorchScript or torch.export, or LiteRT.

`open_encoder` gives a function from a batch to vectors. The library of a format is imported with the first file of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from auscult.provenance import file_digest


class EncoderError(ValueError):
    """A file is missing, changed, or no encoder that can be run; the message says what to do."""


class Encoder(NamedTuple):
    """An opened encoder.

    run: inputs (batch, …) float32 to the chosen output. rank: axes of its input, 0 if the file does not say. batch:
    windows that it takes at once, 0 for any number.
    """

    run: Callable[[np.ndarray], np.ndarray]
    rank: int
    batch: int


@lru_cache(maxsize=2)
def open_encoder(file: Path, sha256: str, output: str) -> Encoder:
    """Open a file, once per process.

    output: name of the output to take, '' for the first one. Raises EncoderError if the file does not have the digest
    `sha256`, cannot be run, or has no such output.
    """
    if file.suffix not in OPENERS:
        raise EncoderError(f"{file}: an encoder is a file in {', '.join(OPENERS)}")
    if not file.is_file() or file_digest(file) != sha256:
        raise EncoderError(f"{file}: the file has changed since this run began; run snakemake again")
    try:
        return OPENERS[file.suffix](file, output)
    except EncoderError as error:
        raise EncoderError(f"{file}: {error}") from None
    except ImportError as error:
        raise EncoderError(f"{file}: needs the package {error.name}; install it with pip") from error
    except Exception as error:  # each library has errors of its own
        raise EncoderError(f"{file}: not readable as an encoder: {error}") from error


def vectors(encoder: Encoder, inputs: np.ndarray, batch: int) -> np.ndarray:
    """Return one vector per window, (windows, values) float32, of inputs (windows, …).

    inputs get axes of size 1 after the first one until they have the encoder's rank. An output with more axes is
    averaged over those between the first and the last. Raises EncoderError for windows that the encoder does not take.
    """
    while inputs.ndim < encoder.rank:
        inputs = inputs[:, None]
    step, parts = encoder.batch or batch, []
    for start in range(0, len(inputs), step):
        part = inputs[start : start + step]
        missing = encoder.batch - len(part) if encoder.batch else 0
        full_batch = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part
        try:
            values = encoder.run(np.ascontiguousarray(full_batch, dtype=np.float32))
        except EncoderError:
            raise
        except Exception as error:
            raise EncoderError(f"the encoder does not take windows of shape {part.shape[1:]}: {error}") from error
        if values.ndim < 2 or len(values) != len(full_batch):
            raise EncoderError(
                f"its output has the shape {values.shape} for {len(full_batch)} windows; take another one"
            )
        parts.append(values[: len(part)].reshape(len(part), -1, values.shape[-1]).mean(axis=1))
    return np.concatenate(parts).astype(np.float32)


def _known(output: str, names: list[str]) -> str:
    """The name of the output to take. Raises EncoderError for an unknown one."""
    if output and output not in names:
        raise EncoderError(f"output: {output!r} is not one of {', '.join(names[:20])}")
    return output or names[0]


def _open_onnx(file: Path, output: str) -> Encoder:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a process per core runs it
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    name = _known(output, [each.name for each in session.get_outputs()])
    batch = first.shape[0] if isinstance(first.shape[0], int) else 0
    return Encoder(lambda x: session.run([name], {first.name: x})[0], len(first.shape), batch)


def _open_torch(file: Path, output: str) -> Encoder:
    import torch

    if file.suffix == ".pt2":
        module: Any = torch.export.load(str(file)).module()
    else:
        module = torch.jit.load(str(file), map_location="cpu").eval()

    def run(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            result = module(torch.from_numpy(x))
        if isinstance(result, torch.Tensor):
            result = [result]
        outputs = result if isinstance(result, dict) else {str(n): value for n, value in enumerate(result)}
        return outputs[_known(output, list(outputs))].numpy()

    return Encoder(run, 0, 0)


def _open_litert(file: Path, output: str) -> Encoder:
    from ai_edge_litert.interpreter import Interpreter

    # vectors are often no output of the file, but the values before its last layer
    interpreter = Interpreter(str(file), num_threads=1, experimental_preserve_all_tensors=bool(output))
    first = interpreter.get_input_details()[0]
    outputs = interpreter.get_output_details()
    places = {each["name"]: each["index"] for each in [*outputs, *(interpreter.get_tensor_details() if output else [])]}
    place = places[_known(output, list(places))]
    batch = int(first["shape_signature"][0])

    def run(x: np.ndarray) -> np.ndarray:
        if tuple(x.shape) != tuple(interpreter.get_input_details()[0]["shape"]):
            interpreter.resize_tensor_input(first["index"], x.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(first["index"], x.astype(first["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(place)

    # with all tensors kept, each window takes hundreds of megabytes, and several at once are no faster
    at_once = max(batch, 0) or (1 if output else 0)
    return Encoder(run, len(first["shape"]), at_once)


OPENERS = {".onnx": _open_onnx, ".pt2": _open_torch, ".pt": _open_torch, ".tflite": _open_litert}
PACKAGE_OF = {".onnx": "onnxruntime", ".tflite": "ai-edge-litert"}
"""The packages that read these formats, by name in the Python index."""
