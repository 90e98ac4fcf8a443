"""Spectrograms by torch.stft."""

import torch

WINDOW, STEP = 256, 128


def spectrogram(sounds):
    """Sounds [N, T] to log power [N, 1, WINDOW / 2 + 1, frames], mean 0 and deviation 1 each."""
    parts = torch.stft(
        sounds, WINDOW, STEP, window=torch.hann_window(WINDOW), return_complex=True, center=False
    )
    power = torch.log1p(1000 * parts.abs() ** 2)
    mean, deviation = power.mean((1, 2), keepdim=True), power.std((1, 2), keepdim=True)
    return ((power - mean) / (deviation + 1e-6))[:, None]
