"""A sequence of plain convolutions."""

from torch import nn

from auscult.networks.layers.dropout import StochasticDropout


def convolutions(channels: int, widths: list[int], dropout: float) -> nn.Sequential:
    """Return 3x3 convolutions, each with batch normalisation, ReLU, 2x2 max-pooling and dropout of channels."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
            StochasticDropout(dropout, channels=True),
        ]
        channels = width
    return nn.Sequential(*layers)
