"""Small corpora in the layouts of MAPS, MAESTRO and a stranger's folder, with labels known exactly.

The music is drawn from its name; every time is a whole number of ticks of 100 microseconds. Its
sound is a sum of decaying harmonics in equal temperament (A4 = 440 Hz): it begins at the onset
sample, and is damped within some 50 ms of the offset. Nothing here uses the package's own MIDI
code: files are written by mido, and the pedal is played by a clock of ticks.
"""

from __future__ import annotations

import csv
import os
import shutil
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import soundfile
import soxr

TICKS_PER_SECOND = 10_000
LOWEST, HIGHEST = 40, 88
RELEASE_SECONDS = 0.15
FIRST_SECONDS = 0.25

MAPS_TRAINING = ("AkPnBcht", "AkPnBsdf", "AkPnCGdD", "AkPnStgb", "SptkBGAm", "SptkBGCl", "StbgTGd2")
MAPS_TEST = ("ENSTDkAm", "ENSTDkCl")
MAPS_WORKS = (
    "alb_se3", "bach_846", "chpn-p15", "chpn_op27_2", "deb_clai", "mz_331_3", "schuim-1",
    "ty_mai", "liz_et_trans5", "scn15_11", "pathetique_1", "waldstein_1",
)  # fmt: skip

MAESTRO_COLUMNS = (
    "canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename",
    "duration",
)  # fmt: skip
MAESTRO_PIECES = (
    ("Frédéric Chopin", "Étude Op. 10 No. 4", "train", 2004),
    ("Frédéric Chopin", "Étude Op. 10 No. 4", "train", 2018),
    ("Joseph Haydn", 'Sonata in C Major, Hob. XVI:50, "English"', "train", 2004),
    ("Isaac Albéniz / Leopold Godowsky", "Tango", "train", 2011),
    ("Alban Berg", "Sonata Op. 1", "validation", 2018),
    ("Franz Schubert", "Impromptu Op. 90 No. 2 in E-flat Major", "validation", 2006),
    ("Johann Sebastian Bach", "Prelude and Fugue in D Major, WTC I, BWV 850", "test", 2009),
    ("Sergei Rachmaninoff", "Prelude in G Minor, Op. 23, No. 5", "test", 2018),
)


@dataclass(frozen=True)
class Music:
    """Keys ``(onset, release, pitch, velocity)`` and pedal ``(pressed, lifted)``, in ticks."""

    keys: tuple[tuple[int, int, int, int], ...]
    pedal: tuple[tuple[int, int], ...]

    def sounding(self) -> list[tuple[int, int, int, int]]:
        """Return the keys with the ticks at which their strings are damped."""
        damped = []
        for onset, release, pitch, velocity in self.keys:
            lifts = [lifted for pressed, lifted in self.pedal if pressed <= release < lifted]
            strikes = [key[0] for key in self.keys if key[2] == pitch and key[0] >= release]
            end = min([lifts[0], *strikes]) if lifts else release
            damped.append((onset, end, pitch, velocity))
        return damped

    def rows(self) -> list[tuple[float, float, int]]:
        """Return onset, offset (pedal included) and pitch of every note, in seconds, sorted."""
        return sorted((a / TICKS_PER_SECOND, b / TICKS_PER_SECOND, p) for a, b, p, _ in
                      self.sounding())  # fmt: skip


def music(name: str, seconds: float = 4.0) -> Music:
    """Return music for a name: chords of one to three notes, some of them under a pedal."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    last = round((seconds - 0.3) * TICKS_PER_SECOND)
    keys: list[tuple[int, int, int, int]] = []
    free = dict.fromkeys(range(LOWEST, HIGHEST + 1), 0)
    tick = round(FIRST_SECONDS * TICKS_PER_SECOND)
    while tick < last - 2000:
        pitches = [pitch for pitch, at in free.items() if at <= tick]
        for pitch in random.choice(pitches, random.integers(1, 4), replace=False).tolist():
            release = min(last, tick + int(random.integers(1200, 9000)))
            keys.append((tick, release, pitch, int(random.integers(30, 111))))
            free[pitch] = release
        tick += int(random.integers(1000, 4500))
    edges = np.sort(random.choice(np.arange(3000, last, 50), 4, replace=False)).tolist()
    return Music(tuple(keys), ((edges[0], edges[1]), (edges[2], edges[3])))


def sound(played: Music, seconds: float, rate: int, timbre: str = "") -> np.ndarray:
    """Return the sound ``(samples, 2)``, float64, peak 0.5; ``timbre`` changes the harmonics."""
    random = np.random.default_rng(zlib.crc32(timbre.encode()))
    slope, decay, pan = random.uniform(0.9, 1.6), random.uniform(0.8, 2.0), random.uniform(0.4, 0.6)
    audio = np.zeros((round(seconds * rate), 2))
    for onset, offset, pitch, velocity in played.sounding():
        begin = -(-onset * rate // TICKS_PER_SECOND)
        length = (offset - onset) / TICKS_PER_SECOND
        time = np.arange(round((length + RELEASE_SECONDS) * rate)) / rate
        frequency = 440 * 2 ** ((pitch - 69) / 12)
        harmonics = np.arange(1, max(2, int(min(rate / 2.2, 7000) / frequency) + 1))[:10]
        tone = sum(np.sin(2 * np.pi * frequency * h * time) / h**slope for h in harmonics)
        level = (velocity / 127) ** 1.5 * np.exp(-decay * time) * np.minimum(1, time / 0.003)
        level *= np.exp(-np.maximum(0, time - length) / 0.015)
        tone = (tone * level)[: len(audio) - begin]
        audio[begin : begin + len(tone)] += tone[:, None] * [pan, 1 - pan]
    return 0.5 * audio / np.abs(audio).max()


def midi_messages(played: Music, channel: int = 0) -> list[tuple[int, int, mido.Message]]:
    """Return (tick, order within the tick, message) of the keys and the pedal."""
    events = []
    for onset, release, note, velocity in played.keys:
        fields = {"note": note, "channel": channel}
        events.append((onset, 3, mido.Message("note_on", velocity=velocity, **fields)))
        events.append((release, 0, mido.Message("note_on", velocity=0, **fields)))
    for pressed, lifted in played.pedal:
        for tick, order, value in ((pressed, 2, 127), (lifted, 1, 0)):
            change = mido.Message("control_change", control=64, value=value, channel=channel)
            events.append((tick, order, change))
    return sorted(events, key=lambda event: event[:2])


def write_midi(path: Path, played: Music, factor: int = 4, *, wild: bool = False) -> None:
    """Write a MIDI file of ``factor`` ticks to our one; mido uses running status throughout.

    The default is 40,000 ticks a second, a high resolution as MAPS has it. A ``wild`` file needs an
    even factor; it has a tempo change in a track of its own, treble and bass in two tracks and
    channels, a drum track, and a note of no duration.
    """
    # A beat lasts 0.5 s, 5000 of our ticks; after the change, it lasts 1 s.
    content = mido.MidiFile(type=1 if wild else 0, ticks_per_beat=5000 * factor)
    change = 10_000 if wild else None

    def add(name: str, events: list[tuple[int, int, mido.Message]]) -> None:
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        last = 0
        for tick, _, message in events:
            at = tick * factor
            if change is not None and tick > change:
                at = change * factor + (tick - change) * factor // 2
            track.append(message.copy(time=at - last))
            last = at
        content.tracks.append(track)

    tempo = [(0, 0, mido.MetaMessage("set_tempo", tempo=500_000))]
    if not wild:
        add("Piano", tempo + midi_messages(played))
        content.save(path)
        return
    add("Tempo", [*tempo, (10_000, 0, mido.MetaMessage("set_tempo", tempo=1_000_000))])
    bass = Music(tuple(key for key in played.keys if key[2] < 60), ())
    treble = Music(tuple(key for key in played.keys if key[2] >= 60), played.pedal)
    nothing = [(7000, 4, mido.Message("note_on", note=50, channel=1)),
               (7000, 5, mido.Message("note_off", note=50, channel=1))]  # fmt: skip
    add("Right hand", midi_messages(treble))
    add("Left hand", sorted([*midi_messages(bass, 1), *nothing], key=lambda event: event[:2]))
    add("Click", [(2500 * beat, 0, mido.Message("note_on", note=37, channel=9))
                  for beat in range(4)])  # fmt: skip
    content.save(path)


def write_txt(path: Path, played: Music, stretch: float = 1.0) -> None:
    """Write a note list as MAPS has them: the pedal is in the offsets."""
    rows = [
        f"{stretch * onset:.4f}\t{stretch * offset:.4f}\t{pitch}\n"
        for onset, offset, pitch in played.rows()
    ]
    path.write_text("OnsetTime\tOffsetTime\tMidiPitch\n" + "".join(rows), encoding="utf-8")


def maps_replica(
    folder: Path,
    zipped: bool = False,
    pieces_per_instrument: int = 2,
    seconds: float = 4.0,
    instruments: tuple[str, ...] = MAPS_TRAINING + MAPS_TEST,
) -> Path:
    """Write a MAPS of nine pianos, 44.1 kHz stereo 16-bit, with a little ISOL beside MUS.

    Neighbouring instruments share works, as MAPS's do: of the training pianos' first works some
    are the test pianos' too. With ``zipped`` each instrument is a zip, the first one in two
    parts, as distributed. Returns the folder.
    """
    for instrument in instruments:
        index = (*MAPS_TRAINING, *MAPS_TEST).index(instrument)
        first = index - len(MAPS_TRAINING) if instrument in MAPS_TEST else index
        parts = [folder / instrument / kind for kind in ("MUS", "ISOL/NO")]
        for part in parts:
            part.mkdir(parents=True)
        names = []
        for number in range(first, first + pieces_per_instrument):
            work = MAPS_WORKS[number] if number < len(MAPS_WORKS) else f"op_{number}"
            names.append((parts[0] / f"MAPS_MUS-{work}_{instrument}", work))
        names.append((parts[1] / f"MAPS_ISOL_NO_F_S0_M60_{instrument}", "isol"))
        for stem, work in names:
            played = music(work, seconds)
            audio = sound(played, seconds, 44_100, instrument)
            soundfile.write(f"{stem}.wav", audio, 44_100, subtype="PCM_16")
            write_midi(Path(f"{stem}.mid"), played)
            write_txt(Path(f"{stem}.txt"), played)
        if zipped:
            _zip(folder, instrument, in_parts=index == 0)
    return folder


def _zip(folder: Path, instrument: str, *, in_parts: bool) -> None:
    """Pack an instrument's folder; in parts, its pieces are spread over two zips."""
    files = sorted(path for path in (folder / instrument).rglob("*") if path.is_file())
    stems = sorted({path.stem for path in files})
    parts = {f"MAPS_{instrument}_1": stems[::2], f"MAPS_{instrument}_2": stems[1::2]}
    for name, packed in (parts if in_parts else {instrument: stems}).items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                if path.stem in packed:
                    archive.write(path, path.relative_to(folder).as_posix())
    shutil.rmtree(folder / instrument)


def maestro_replica(
    folder: Path, seconds: float = 4.0, pieces: Sequence[tuple[str, str, str, int]] = MAESTRO_PIECES
) -> Path:
    """Write a MAESTRO of some pieces: its csv, and wav and midi by year."""
    rows = []
    for number, (composer, title, split, year) in enumerate(pieces, start=1):
        (folder / str(year)).mkdir(parents=True, exist_ok=True)
        stem = f"{year}/MIDI-Unprocessed_{number:02d}_R1_{year}_01--AUDIO_{number:02d}_R1_wav--1"
        rate = 48_000 if year >= 2017 else 44_100
        played = music(f"{stem}", seconds)
        audio = sound(played, seconds, rate, str(year))
        soundfile.write(folder / f"{stem}.wav", audio, rate, subtype="PCM_16")
        write_midi(folder / f"{stem}.midi", played, factor=1)
        rows.append((composer, title, split, year, f"{stem}.midi", f"{stem}.wav", float(seconds)))
    with open(folder / "maestro-v3.0.0.csv", "w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([MAESTRO_COLUMNS, *rows])
    return folder


# name, suffixes of audio and notes, rate, subtype of soundfile, channels
WILD_PIECES = (
    ("Für Elise (live, 2. Versuch)", ".flac", ".mid", 22_050, "PCM_24", 1),
    ("étude no. 3 – l'été", ".wav", ".midi", 96_000, "FLOAT", 2),
    ("sub folder/Gymnopédie 1", ".ogg", ".txt", 44_100, "VORBIS", 2),
    ("sub folder/日本の歌", ".wav", ".mid", 44_100, "PCM_16", 1),
    ("take.1.final", ".WAV", ".MID", 48_000, "PCM_24", 2),
    ("linked", ".wav", ".txt", 32_000, "PCM_16", 2),
    ("$HOME; rm 'x' & (y)", ".mp3", ".mid", 44_100, "MPEG_LAYER_III", 2),
    ("100% sûr", ".flac", ".txt", 44_100, "PCM_16", 2),
)


def wild_folder(
    folder: Path,
    seconds: float = 4.0,
    pieces: Sequence[tuple[str, str, str, int, str, int]] = WILD_PIECES,
) -> Path:
    """Write pairs as strangers have them: odd names, formats, rates, suffixes; links.

    The first name is decomposed Unicode in the audio and composed in the notes, the pair ``linked``
    consists of links out of the folder, and every second MIDI file is a wild one
    (:func:`write_midi`). Beside them lie files that are neither audio nor notes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    elsewhere = folder.parent / f"{folder.name}_elsewhere"
    elsewhere.mkdir()
    for number, (name, suffix, notes, rate, subtype, channels) in enumerate(pieces):
        played = music(name, seconds)
        audio = sound(played, seconds, rate, name)
        home = elsewhere if name == "linked" else folder
        form = "NFD" if number == 0 else "NFC"
        recording = home / (unicodedata.normalize(form, name) + suffix)
        labels = home / (unicodedata.normalize("NFC", name) + notes)
        recording.parent.mkdir(exist_ok=True)
        samples = audio if channels == 2 else audio.mean(axis=1)
        container = "MP3" if suffix == ".mp3" else suffix[1:].upper()
        soundfile.write(recording, samples, rate, subtype=subtype, format=container)
        if notes == ".txt":
            write_txt(labels, played)
        else:
            write_midi(labels, played, factor=2, wild=number % 2 == 0)
    for path in elsewhere.iterdir():
        (folder / path.name).symlink_to(os.path.relpath(path, folder))
    (folder / "notes about the recordings.docx").write_bytes(b"not a note list")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "._take.1.final.WAV").write_bytes(b"\0\5\x16\7")
    return folder


def bad_folder(folder: Path) -> dict[str, set[str]]:
    """Write three good pairs, and a bad one of each kind, named after its fault.

    Returns what is to be found of each piece, such as ``stops: silent``.
    """
    folder.mkdir(parents=True)
    seconds, rate = 6.0, 16_000
    expected: dict[str, set[str]] = {}

    def pair(
        name: str,
        *found: str,
        change: Callable[[np.ndarray], np.ndarray] = lambda samples: samples,
        music_of: str | None = None,
        rate: int = rate,
        heard_at: int | None = None,
    ) -> None:
        played = music(music_of or name, seconds)
        samples = change(sound(played, seconds, rate)[:, 0])
        soundfile.write(folder / f"{name}.wav", samples, heard_at or rate)
        write_txt(folder / f"{name}.txt", played)
        expected[name] = set(found)

    for name in ("a_good", "b_good", "c_good"):
        pair(name)
    pair("copy_of_a_good", "warning: duplicate audio", music_of="a_good")
    pair("no_notes_file", "stops: missing partner")
    (folder / "no_notes_file.txt").unlink()
    pair("no_recording", "stops: missing partner")
    (folder / "no_recording.wav").unlink()
    pair("as_m4a", "stops: missing partner")
    (folder / "as_m4a.wav").rename(folder / "as_m4a.m4a")
    pair("two_recordings", "stops: ambiguous")
    shutil.copy(folder / "two_recordings.wav", folder / "two_recordings.flac")
    for name, content in (
        ("empty", lambda whole: b""),
        ("truncated", lambda whole: whole[:100_000]),
        ("header_only", lambda whole: whole[:44]),
        ("corrupt", lambda whole: b"RIFF" + whole[44:]),
    ):
        pair(name, "stops: unreadable")
        wav = folder / f"{name}.wav"
        wav.write_bytes(content(wav.read_bytes()))
    pair("silent", "stops: silent", change=lambda samples: 0 * samples)
    pair("quiet", "warning: very quiet", change=lambda samples: samples / 250)
    pair("clipped", "warning: clipped", change=lambda samples: np.clip(5 * samples, -1, 1))
    pair("rate_4000", "stops: wrong rate", "warning: unusual rate", rate=4000)
    pair("rate_22050", "warning: unusual rate", rate=22_050)
    pair(
        "header_s_rate",
        "stops: labels do not fit", "stops: detuned", "warning: unusual rate",
        heard_at=17_000,
    )  # fmt: skip
    sharp = 2 ** (30 / 1200)
    pair("sharp", "warning: detuned", change=lambda samples: soxr.resample(samples, sharp, 1))
    write_txt(folder / "sharp.txt", music("sharp", seconds), stretch=1 / sharp)
    pair("late_sound", "stops: shifted labels", change=lambda s: np.roll(s, round(0.2 * rate)))
    pair(
        "a_third_of_it",
        "stops: length mismatch",
        change=lambda samples: samples[: len(samples) // 3],
    )
    for name, rows in (
        ("negative_duration", "2.0\t1.0\t60\n"),
        ("pitch_200", "1.0\t2.0\t200\n"),
        ("no_numbers", "one\ttwo\tC4\n"),
        ("no_notes", ""),
    ):
        pair(name, "stops: unusable notes")
        (folder / f"{name}.txt").write_text(f"OnsetTime\tOffsetTime\tMidiPitch\n{rows}")
    pair("another_header", "stops: unusable notes")
    (folder / "another_header.txt").write_bytes(b"begin,end,note\n1,2,60\n")
    pair("broken_midi", "stops: unusable notes")
    (folder / "broken_midi.txt").unlink()
    (folder / "broken_midi.mid").write_bytes(b"MThd\0\0\0\6\0\1")
    pair("late_onset", "stops: length mismatch")
    with open(folder / "late_onset.txt", "a", encoding="utf-8") as notes:
        notes.write(f"{seconds + 2}\t{seconds + 3}\t60\n")
    return expected
