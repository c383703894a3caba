"""The settings of features as a file tells them that may be damaged, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from at4ramt.features.cqt import CqtSettings
from at4ramt.limits import SAMPLE_RATES_HZ

PITCHES = 128
"""As many as MIDI has."""

BOUNDS: Mapping[str, tuple[int, int]] = {
    "sample_rate_hz": SAMPLE_RATES_HZ,
    "hop_length_samples": (1, 1 << 16),
    "bins_per_pitch": (1, 64),
    "lowest_pitch": (0, PITCHES - 1),
    "pitches": (1, PITCHES),
    "margin_pitches": (0, PITCHES),
    "margin_above_pitches": (0, PITCHES),
    "overtone_pitches": (0, PITCHES),
}


def stored_settings(features: Any) -> CqtSettings:
    """Return the settings that a model's card or a Parquet file's metadata has.

    Raises:
        ValueError: if one is missing, no whole number, or beyond any that we compute with.
    """
    if not isinstance(features, Mapping):
        raise ValueError(f"feature settings of the kind {type(features).__name__}")
    try:
        settings = CqtSettings.from_config(features)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"feature settings that are incomplete: {error}") from error
    for name, (least, most) in BOUNDS.items():
        value = getattr(settings, name)
        found = features.get(name)
        # int() takes 37.5 for 37, and true for one.
        if not least <= value <= most or found not in (None, value) or isinstance(found, bool):
            raise ValueError(
                f"{name} is {str(found)[:40]}; expected a whole number of {least} to {most}"
            )
    if settings.overtone_pitches > settings.margin_above_pitches:
        raise ValueError("overtone_pitches are more than margin_above_pitches")
    return settings
