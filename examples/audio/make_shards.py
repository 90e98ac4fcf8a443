"""Make the shards of this example: half-second recordings of four instruments' tones.

Everything is generated from a fixed seed: a flute (sine with a few overtones), an organ (square
wave), a siren (rising tone) and rain (filtered noise), at random pitch and loudness, over a hum of
50 Hz. A ZIP holds `sounds/NNN.wav` (8 kHz, 16 bit, mono) and `labels.csv`: no manifest.

    room-0.zip      80 recordings, mostly flute and organ
    room-1.zip      60 recordings, mostly siren
    room-2.zip      50 recordings, mostly rain
    validation.zip  60 recordings that no worker has

    python examples/audio/make_shards.py [--out DIR]
"""

from __future__ import annotations

import io
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shard_files import out_folder, write_zip

RATE, SECONDS = 8000, 0.5
INSTRUMENTS = ("flute", "organ", "siren", "rain")
ROOMS = {
    "room-0.zip": (80, (0.4, 0.4, 0.1, 0.1)),
    "room-1.zip": (60, (0.15, 0.15, 0.6, 0.1)),
    "room-2.zip": (50, (0.1, 0.15, 0.15, 0.6)),
    "validation.zip": (60, (0.25, 0.25, 0.25, 0.25)),
}


def tone(rng: np.random.Generator, instrument: str) -> Any:
    """Samples in -1..1 of one recording."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    pitch = rng.uniform(200, 900)
    phase = 2 * np.pi * pitch * time
    if instrument == "flute":
        sound = np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase)
    elif instrument == "organ":
        sound = np.sign(np.sin(phase))
    elif instrument == "siren":
        sound = np.sin(phase + 2 * np.pi * rng.uniform(600, 2000) * time**2)
    else:
        sound = np.convolve(rng.normal(0, 1, len(time)), np.ones(3) / 3, "same")
    hum = 0.2 * np.sin(2 * np.pi * 50 * time) + rng.normal(0, 0.02, len(time))
    loud = rng.uniform(0.1, 0.6)
    return np.clip(loud * sound / np.abs(sound).max() + hum, -1, 1)


def recording(samples: Any) -> bytes:
    """A WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def main() -> int:
    """Write the four ZIPs."""
    out = out_folder(__file__, __doc__)
    rng = np.random.default_rng(8000)
    for name, (count, shares) in ROOMS.items():
        files, lines = {}, ["file,instrument"]
        for number, index in enumerate(rng.choice(len(INSTRUMENTS), count, p=shares)):
            instrument = INSTRUMENTS[index]
            files[f"sounds/{number:03d}.wav"] = recording(tone(rng, instrument))
            lines.append(f"sounds/{number:03d}.wav,{instrument}")
        files["labels.csv"] = ("\n".join(lines) + "\n").encode()
        write_zip(out / name, files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
