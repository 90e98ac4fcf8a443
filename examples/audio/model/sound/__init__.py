"""Reading recordings and turning them into spectrograms: a package beside model_def.py."""

from sound.recordings import INSTRUMENTS, read_room
from sound.spectrogram import spectrogram

__all__ = ["INSTRUMENTS", "read_room", "spectrogram"]
