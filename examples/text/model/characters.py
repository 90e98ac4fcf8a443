"""Text as numbers: every character of alphabet.txt has one; all others share the last."""

from pathlib import Path

import torch

# A data file beside the code: every worker must use the same numbers, whatever its texts hold.
ALPHABET = (Path(__file__).parent / "alphabet.txt").read_text("utf-8").rstrip("\n") + "\n"
NUMBERS = {character: number for number, character in enumerate(ALPHABET)}
UNKNOWN = len(ALPHABET)
VOCABULARY = len(ALPHABET) + 1


def encode(text):
    """A text as numbers [N], lower case, runs of blanks as one."""
    tidy = "\n".join(" ".join(line.split()) for line in text.lower().splitlines())
    return torch.tensor([NUMBERS.get(character, UNKNOWN) for character in tidy])


def decode(numbers):
    """The text of numbers; unknown characters as a question mark."""
    return "".join(ALPHABET[n] if n < UNKNOWN else "?" for n in numbers)


def read_folder(folder):
    """Every .txt file of a folder as one run of numbers [N]."""
    texts = [path.read_text("utf-8") for path in sorted(Path(folder).glob("*.txt"))]
    return encode("\n".join(texts))
