"""Contrastive transfer: a student's latents learn to say of which recording its teacher's are, and the reverse.

The loss of MVKT-ECG (Qin et al. 2023), which is that of contrastive representation distillation (Tian et al. 2020). Of
each recording both networks' latents are kept, and move half way to their new values when the recording is seen.
Another than published: the negatives of a recording are those that share no label with it. The published code compares
one label, and reads the first column of several labels as a class.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

WIDTH = 128
TEMPERATURE = 0.07
MOMENTUM = 0.5


class Transfer(nn.Module):
    """Projections of both networks' latents, and the kept latents of all training recordings."""

    def __init__(self, student_width: int, teacher_latents: torch.Tensor, labels: torch.Tensor, negatives: int) -> None:
        """teacher_latents: (recordings, any). labels: (recordings, outputs), 1 for a label, else 0 or NaN."""
        super().__init__()
        count, teacher_width = teacher_latents.shape
        self.negatives = max(1, min(negatives, count // 2))
        self.student, self.teacher = nn.Linear(student_width, WIDTH), nn.Linear(teacher_width, WIDTH)
        self.register_buffer("latents", teacher_latents, persistent=False)
        self.register_buffer("labels", torch.nan_to_num(labels), persistent=False)
        bound = (WIDTH / 3) ** -0.5
        for name in ("of_students", "of_teachers"):
            self.register_buffer(name, torch.empty(count, WIDTH).uniform_(-bound, bound))
        # the scale of the scores, one for each direction; 0 before the first batch
        self.register_buffer("scale", torch.zeros(2))

    def forward(self, latents: torch.Tensor, recording: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The loss of both directions, a scalar. latents: of a student, (batch, any); recording: numbers (batch,)."""
        student = functional.normalize(self.student(latents), dim=1)
        teacher = functional.normalize(self.teacher(self.latents[recording]), dim=1)
        has_negatives, others = self.draw_negatives(recording, generator)
        candidates = torch.cat([recording[:, None], others], dim=1)
        pairs = ((student, self.of_teachers), (teacher, self.of_students))
        losses = [self._loss(number, own, memory[candidates]) for number, (own, memory) in enumerate(pairs)]
        self._keep(self.of_students, student, recording)
        self._keep(self.of_teachers, teacher, recording)
        return ((losses[0] + losses[1]) * has_negatives).sum() / has_negatives.sum().clamp(min=1)

    def draw_negatives(self, recording: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Whether each recording has a negative (batch,), and numbers of random ones (batch, negatives).

        Two recordings without any label count as sharing one.
        """
        labels = self.labels.cpu()
        with_none = torch.cat([labels, (labels.sum(dim=1, keepdim=True) == 0).float()], dim=1)
        is_negative = (with_none[recording.cpu()] @ with_none.T == 0).float()
        has_negatives = is_negative.any(dim=1)
        is_negative[~has_negatives] = 1  # drawn, and not counted
        others = torch.multinomial(is_negative, self.negatives, replacement=True, generator=generator)
        return has_negatives.to(recording.device), others.to(recording.device)

    def _loss(self, number: int, own: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """One direction's loss (batch,). own: (batch, width); memory: (batch, 1 + negatives, width), positive first."""
        scores = torch.exp((memory * own[:, None]).sum(dim=2) / TEMPERATURE)
        count = len(self.latents)
        if self.scale[number] == 0:
            self.scale[number] = scores.detach().mean() * count
        p = scores / self.scale[number].clone()  # the other direction changes the buffer before the gradients
        noise = self.negatives / count
        positive = torch.log(p[:, 0] / (p[:, 0] + noise + 1e-7))
        negative = torch.log(noise / (p[:, 1:] + noise + 1e-7)).sum(dim=1)
        return -(positive + negative)

    @torch.no_grad()
    def _keep(self, memory: torch.Tensor, new: torch.Tensor, recording: torch.Tensor) -> None:
        """Move the kept latents of the batch's recordings towards the new ones, at unit length."""
        update = MOMENTUM * memory[recording] + (1 - MOMENTUM) * new.float()
        memory[recording] = functional.normalize(update, dim=1)
