"""Zones of one preset of an SF2 or SF3 sound font.

Written from the SoundFont Technical Specification 2.04 (Creative/E-mu, 2006):
chunks (section 4 to 7), generators (8.1), modulators (8.2, 9.5), default
modulators (8.4). SF3 is SF2 with each sample stored as Ogg Vorbis: then a
sample header's start and end are bytes in the chunk and its loop counts from
the sample's own start.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from at4ramt import sounds
from at4ramt.errors import InputError, told
from at4ramt.limits import SAMPLE_RATES_HZ

# Generators that we read, by the specification's numbers (8.1.2).
FILTER_CUTOFF, FILTER_RESONANCE, ENVELOPE_TO_CUTOFF = 8, 9, 11
PAN = 17
DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE = 33, 34, 35, 36, 37, 38
KEY_TO_HOLD, KEY_TO_DECAY = 39, 40
INSTRUMENT, KEY_RANGE, VELOCITY_RANGE = 41, 43, 44
ATTENUATION, COARSE_TUNE, FINE_TUNE, SAMPLE, LOOP_MODE, SCALE_TUNE, ROOT_KEY = (
    48,
    51,
    52,
    53,
    54,
    56,
    58,
)
START, END, LOOP_START, LOOP_END = 0, 1, 2, 3
START_COARSE, END_COARSE, LOOP_START_COARSE, LOOP_END_COARSE = 4, 12, 45, 50

DEFAULTS = {
    FILTER_CUTOFF: 13500,
    DELAY: -12000,
    ATTACK: -12000,
    HOLD: -12000,
    DECAY: -12000,
    RELEASE: -12000,
    ROOT_KEY: -1,
    SCALE_TUNE: 100,
}
# A preset adds to what the instrument sets, except for these (8.5, 9.4).
ONLY_INSTRUMENT = {
    START,
    END,
    LOOP_START,
    LOOP_END,
    START_COARSE,
    END_COARSE,
    LOOP_START_COARSE,
    LOOP_END_COARSE,
    KEY_RANGE,
    VELOCITY_RANGE,
    SAMPLE,
    LOOP_MODE,
    ROOT_KEY,
    INSTRUMENT,
}

# A zone has each generator once, and there are 61; a preset has a zone for each range of keys.
# In a hostile font a thousand zones have the same thousand generators each.
MOST_OF_A_ZONE, MOST_ZONES = 256, 8192
LONGEST_SAMPLE_SECONDS = 300

# (source, destination, amount, amount source, transform): velocity to
# attenuation, the first of the default modulators (8.4.1). The second, velocity
# to filter cutoff, is left out, as FluidSynth does, on which these fonts were
# voiced; the others answer to controllers that stand still here.
Modulator = tuple[int, int, int, int, int]
VELOCITY_TO_ATTENUATION: Modulator = (0x0502, ATTENUATION, 960, 0, 0)

# The E-mu hardware applies the attenuation generator at 0.4 of its value; sound
# fonts are voiced for that and FluidSynth does likewise.
ATTENUATION_FACTOR = 0.4


@dataclass
class Zone:
    """What sounds for a range of keys and velocities.

    ``keys`` and ``velocities`` are inclusive ranges, ``generators`` the summed
    values by number, ``modulators`` those that act.
    """

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: int
    generators: dict[int, int]
    modulators: list[Modulator]

    def as_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` takes."""
        return {
            "keys": list(self.keys),
            "velocities": list(self.velocities),
            "sample": self.sample,
            "generators": {str(number): value for number, value in self.generators.items()},
            "modulators": [list(each) for each in self.modulators],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Zone:
        """Return the zone that :meth:`as_json` described."""
        return cls(
            (content["keys"][0], content["keys"][1]),
            (content["velocities"][0], content["velocities"][1]),
            content["sample"],
            {int(number): value for number, value in content["generators"].items()},
            [(m[0], m[1], m[2], m[3], m[4]) for m in content["modulators"]],
        )

    def values(self, key: int, velocity: int) -> dict[int, float]:
        """Return the generators of one note, modulators applied.

        The attenuation comes in centibels of sound, not of the file.
        """
        values = {**DEFAULTS, **self.generators}
        result = {number: float(value) for number, value in values.items()}
        result[ATTENUATION] = ATTENUATION_FACTOR * result.get(ATTENUATION, 0.0)
        for source, destination, amount, scale, transform in self.modulators:
            change = amount * _source_value(source, key, velocity)
            if scale:
                change *= _source_value(scale, key, velocity)
            if transform == 2:
                change = abs(change)
            result[destination] = result.get(destination, 0.0) + change
        return result


@dataclass
class FontSample:
    """One recording: mono int16 at ``rate`` Hz, its root key, correction and loop.

    ``other_side`` is the font's number of the other channel of a stereo
    recording, or -1.
    """

    name: str
    audio: NDArray[np.int16]
    rate: int
    root_key: int
    correction_cents: int
    loop: tuple[int, int]
    other_side: int = -1


@dataclass
class Preset:
    """The zones of a preset and the samples they use, by the font's numbers."""

    name: str
    zones: list[Zone] = field(default_factory=list)
    samples: dict[int, FontSample] = field(default_factory=dict)


def _curve(kind: int, x: float) -> float:
    """Return a modulator's curve at ``x`` of 0..1: linear, concave, convex or switch (8.2.4)."""
    if kind == 1:
        return 1.0 if x >= 127 / 128 else min(1.0, -20 / 96 * math.log10((1 - x) ** 2))
    if kind == 2:
        return 0.0 if x <= 0 else max(0.0, 1 + 20 / 96 * math.log10(x**2))
    if kind == 3:
        return float(x >= 0.5)
    return x


def _source_value(source: int, key: int, velocity: int) -> float:
    """Return a modulator's source (8.2.1) for a note: -1..1 if bipolar, else 0..1."""
    index, is_controller = source & 0x7F, bool(source & 0x80)
    if index == 0 and not is_controller:
        return 1.0
    if is_controller:
        raw = {7: 100, 10: 64, 11: 127}.get(index, 0)
    else:
        raw = {2: velocity, 3: key, 14: 64, 16: 2}.get(index, 0)
    x = raw / 128 if index != 2 or is_controller else raw / 127
    if source & 0x100:
        x = 1 - x
    kind = source >> 10
    if source & 0x200:
        sign = math.copysign(1.0, 2 * x - 1)
        return sign * _curve(kind, abs(2 * x - 1))
    return _curve(kind, x)


def _chunks(data: bytes) -> dict[str, bytes]:
    """Return the sub-chunks of all lists, by name."""
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise ValueError("it does not begin as a RIFF file of type sfbk")
    found: dict[str, bytes] = {}
    position = 12
    while position + 12 <= len(data):
        name = data[position : position + 4]
        size = struct.unpack_from("<I", data, position + 4)[0]
        if name != b"LIST":
            raise ValueError(f"a list was expected at byte {position}")
        stop = position + 8 + size
        inner = position + 12
        while inner + 8 <= stop:
            length = struct.unpack_from("<I", data, inner + 4)[0]
            label = data[inner : inner + 4].decode("ascii", "replace")
            found[label] = data[inner + 8 : inner + 8 + length]
            inner += 8 + length + (length & 1)
        # RIFF pads to even lengths, but some writers of SF3 do not.
        position = stop + (1 if stop & 1 and data[stop : stop + 4] != b"LIST" else 0)
    return found


def _records(chunk: bytes, layout: str) -> list[tuple[Any, ...]]:
    return list(struct.iter_unpack("<" + layout, chunk))


class _Zones:
    """The bags, generators and modulators of a font's presets (``p``) or instruments (``i``)."""

    def __init__(self, chunks: dict[str, bytes], kind: str) -> None:
        self._bags = _records(chunks[f"{kind}bag"], "HH")
        self._generators = _records(chunks[f"{kind}gen"], "HH")
        self._modulators = _records(chunks[f"{kind}mod"], "HHhHH")

    def between(self, first: int, stop: int) -> list[tuple[dict[int, int], list[Modulator]]]:
        """Return (generators, modulators) of the bags ``first`` to ``stop``."""
        if stop - first > MOST_ZONES:
            raise ValueError(f"{stop - first} zones; expected at most {MOST_ZONES}")
        zones = []
        for bag in range(first, stop):
            (generator, modulator), (next_generator, next_modulator) = self._bags[bag : bag + 2]
            if max(next_generator - generator, next_modulator - modulator) > MOST_OF_A_ZONE:
                raise ValueError(f"a zone of more than {MOST_OF_A_ZONE} generators or modulators")
            values = {}
            for number, raw in self._generators[generator:next_generator]:
                signed = raw - 0x10000 if raw >= 0x8000 else raw
                unsigned = (KEY_RANGE, VELOCITY_RANGE, SAMPLE, INSTRUMENT, LOOP_MODE)
                values[number] = raw if number in unsigned else signed
            acting: list[Modulator] = [
                (m[0], m[1], m[2], m[3], m[4]) for m in self._modulators[modulator:next_modulator]
            ]
            zones.append((values, acting))
        return zones


def _identity(modulator: Modulator) -> tuple[int, int, int, int]:
    """Return what makes two modulators the same: all but the amount (9.5.1)."""
    return modulator[0], modulator[1], modulator[3], modulator[4]


def _replace(*levels: list[Modulator]) -> list[Modulator]:
    """Return modulators where each level replaces identical ones of those before."""
    merged: dict[tuple[int, int, int, int], Modulator] = {}
    for level in levels:
        for modulator in level:
            merged[_identity(modulator)] = modulator
    return list(merged.values())


def _add(instrument: list[Modulator], preset: list[Modulator]) -> list[Modulator]:
    """Return the instrument's modulators with the preset's amounts added (9.5.2)."""
    merged = {_identity(each): each for each in instrument}
    for each in preset:
        present = merged.get(_identity(each))
        amount = each[2] + (present[2] if present else 0)
        merged[_identity(each)] = (each[0], each[1], amount, each[3], each[4])
    return [each for each in merged.values() if each[2] != 0]


def _range(raw: int | None) -> tuple[int, int]:
    return (0, 127) if raw is None else (raw & 0xFF, raw >> 8)


def _common(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int] | None:
    low, high = max(first[0], second[0]), min(first[1], second[1])
    return (low, high) if low <= high else None


def _read_sample(chunks: dict[str, bytes], number: int, header: tuple[Any, ...]) -> FontSample:
    name, start, end, loop_start, loop_end, rate, root, correction, link, kind = header
    pool = chunks["smpl"]
    if kind & 16:
        audio, rate = sounds.decode(pool[start:end], LONGEST_SAMPLE_SECONDS, 2)
        recorded = audio[:, 0]
        loop = (loop_start, loop_end)
    else:
        recorded = np.frombuffer(pool[2 * start : 2 * end], dtype="<i2")
        loop = (loop_start - start, loop_end - start)
    if len(recorded) == 0 or not SAMPLE_RATES_HZ[0] <= rate <= SAMPLE_RATES_HZ[1]:
        raise ValueError(f"recording {number}: {len(recorded)} frames at {rate} Hz")
    return FontSample(
        name.split(b"\0")[0].decode("latin-1"),
        np.ascontiguousarray(recorded),
        int(rate),
        root,
        correction,
        loop,
        link if kind & 6 else -1,
    )


def read_preset(data: bytes, name: str, program: int = 0, bank: int = 0) -> Preset:
    """Return a preset of a sound font with the recordings that it uses.

    Raises:
        InputError: naming ``name``, if ``data`` is no sound font or has no such preset.
    """
    try:
        chunks = _chunks(data)
        headers = _records(chunks["phdr"], "20sHHHIII")
        instruments = _records(chunks["inst"], "20sH")
        samples = _records(chunks["shdr"], "20sIIIIIBbHH")
        wanted = [
            number
            for number, header in enumerate(headers[:-1])
            if header[1] == program and header[2] == bank
        ]
        if not wanted:
            raise InputError(
                f"{name}: expected the preset {bank}:{program} in the sound font, found none. "
                "Use a font with an acoustic piano there."
            )
        number = wanted[0]
        preset = Preset(headers[number][0].split(b"\0")[0].decode("latin-1"))
        global_preset: tuple[dict[int, int], list[Modulator]] = ({}, [])
        presets, inside = _Zones(chunks, "p"), _Zones(chunks, "i")
        outer = presets.between(headers[number][3], headers[number + 1][3])
        looked_at = 0
        for values, modulators in outer:
            if INSTRUMENT not in values:
                global_preset = (values, modulators)
                continue
            outer_values = {**global_preset[0], **values}
            outer_modulators = _replace(global_preset[1], modulators)
            instrument = values[INSTRUMENT]
            global_zone: tuple[dict[int, int], list[Modulator]] = ({}, [])
            inner = inside.between(instruments[instrument][1], instruments[instrument + 1][1])
            looked_at += len(inner)
            if looked_at > MOST_ZONES:
                raise ValueError(f"more than {MOST_ZONES} zones")
            for inner_values, inner_modulators in inner:
                if SAMPLE not in inner_values:
                    global_zone = (inner_values, inner_modulators)
                    continue
                own = {**global_zone[0], **inner_values}
                keys = _common(_range(own.get(KEY_RANGE)), _range(outer_values.get(KEY_RANGE)))
                velocities = _common(
                    _range(own.get(VELOCITY_RANGE)), _range(outer_values.get(VELOCITY_RANGE))
                )
                if keys is None or velocities is None:
                    continue
                total = dict(own)
                for generator, value in outer_values.items():
                    if generator not in ONLY_INSTRUMENT:
                        base = own.get(generator, DEFAULTS.get(generator, 0))
                        total[generator] = base + value
                sample = total.pop(SAMPLE)
                for used in (KEY_RANGE, VELOCITY_RANGE, INSTRUMENT):
                    total.pop(used, None)
                acting = _add(
                    _replace([VELOCITY_TO_ATTENUATION], global_zone[1], inner_modulators),
                    outer_modulators,
                )
                preset.zones.append(Zone(keys, velocities, sample, total, acting))
                if sample not in preset.samples:
                    preset.samples[sample] = _read_sample(chunks, sample, samples[sample])
    except (KeyError, IndexError, struct.error, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name}: expected an SF2 or SF3 sound font, found something else ({told(error)}). "
            "Fetch the archive again."
        ) from error
    return preset
