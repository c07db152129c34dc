"""Training of the head alone: the encoder keeps its weights and its batch statistics."""

from __future__ import annotations

from torch import nn

from auscult.networks import is_encoder


def encoder_weights(network: nn.Module) -> list[nn.Parameter]:
    """The weights of the encoder that are to be trained: those that the network itself does not freeze."""
    return [weight for key, weight in network.named_parameters() if is_encoder(key) and weight.requires_grad]


def set_training(network: nn.Module, weights: list[nn.Parameter], frozen: bool) -> None:
    """Put a network into training mode. Frozen: the encoder's `weights` get no gradient, and it stays in evaluation."""
    network.train()
    for weight in weights:
        weight.requires_grad_(not frozen)
    if frozen:
        for name, part in network.named_children():
            if is_encoder(name):
                part.eval()
