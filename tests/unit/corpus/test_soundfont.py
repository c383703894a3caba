"""The sound-font reader against a font made here byte by byte, and the specification's curves."""

import struct

import numpy as np
import pytest

from at4ramt.corpus import soundfont
from at4ramt.errors import InputError


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def font(odd=False):
    """One preset: a global zone (attenuation 20), a zone of key 60 to 127 and transposition."""
    audio = np.arange(100, dtype="<i2")
    sdta = b"sdta" + chunk(b"smpl", audio.tobytes())
    generators = lambda *pairs: b"".join(struct.pack("<HH", g, v & 0xFFFF) for g, v in pairs)  # noqa: E731
    phdr = struct.pack("<20sHHHIII", b"Grand", 0, 0, 0, 0, 0, 0) + struct.pack(
        "<20sHHHIII", b"EOP", 0, 0, 2, 0, 0, 0
    )
    pgen = generators((48, 20), (43, 60 | 127 << 8), (51, 1), (52, -3), (41, 0), (0, 0))
    pbag = struct.pack("<HHHHHH", 0, 0, 1, 0, 5, 1)
    pmod = struct.pack("<HHhHH", 0x0502, 48, -460, 0, 0) + bytes(10)
    inst = struct.pack("<20sH", b"I", 0) + struct.pack("<20sH", b"EOI", 2)
    igen = generators(
        (48, 100), (17, -500), (43, 0 | 71 << 8), (48, 50), (52, 10), (58, 64), (53, 0), (0, 0)
    )
    ibag = struct.pack("<HHHHHH", 0, 0, 2, 0, 7, 0)
    shdr = struct.pack("<20sIIIIIBbHH", b"S", 10, 90, 20, 80, 22050, 61, -4, 0, 1) + bytes(46)
    lists = [
        b"INFO" + chunk(b"ifil", bytes(4)),
        sdta,
        b"pdta"
        + b"".join(
            chunk(n, b)
            for n, b in [
                (b"phdr", phdr),
                (b"pbag", pbag),
                (b"pmod", pmod),
                (b"pgen", pgen),
                (b"inst", inst),
                (b"ibag", ibag),
                (b"imod", bytes(10)),
                (b"igen", igen),
                (b"shdr", shdr),
            ]
        ),
    ]
    body = b"sfbk" + b"".join(chunk(b"LIST", each) for each in lists)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_zones_are_summed_as_the_specification_says():
    preset = soundfont.read_preset(font(), "made.sf2")
    assert preset.name == "Grand" and len(preset.zones) == 1
    zone = preset.zones[0]
    assert zone.keys == (60, 71) and zone.velocities == (0, 127)
    # The instrument's zone replaces its global attenuation, the preset adds its own.
    assert zone.generators[soundfont.ATTENUATION] == 50 + 20
    assert zone.generators[soundfont.FINE_TUNE] == 10 - 3
    assert zone.generators[soundfont.COARSE_TUNE] == 1
    assert zone.generators[soundfont.ROOT_KEY] == 64
    assert zone.generators[soundfont.PAN] == -500
    # The preset's modulator takes 460 of the default's 960 centibels.
    assert zone.modulators == [(0x0502, 48, 500, 0, 0)]
    sample = preset.samples[0]
    np.testing.assert_array_equal(sample.audio, np.arange(10, 90))
    assert (sample.rate, sample.root_key, sample.correction_cents, sample.loop) == (
        22050,
        61,
        -4,
        (10, 70),
    )


def test_velocity_attenuates_by_the_square_law():
    zone = soundfont.Zone((0, 127), (0, 127), 0, {}, [soundfont.VELOCITY_TO_ATTENUATION])
    for velocity in (1, 20, 64, 100, 127):
        expected = -400 * np.log10(velocity / 127)
        assert zone.values(60, velocity)[soundfont.ATTENUATION] == pytest.approx(
            min(expected, 960), abs=1e-9
        )


def test_linear_and_bipolar_sources():
    assert soundfont._source_value(0x0002, 60, 127) == 1
    assert soundfont._source_value(0x0102, 60, 127) == 0
    assert soundfont._source_value(0x0003, 64, 1) == 0.5
    assert soundfont._source_value(0x0203, 64, 1) == 0
    assert soundfont._source_value(0x0303, 0, 1) == 1
    assert soundfont._source_value(0, 60, 60) == 1


def test_json_and_back():
    zone = soundfont.read_preset(font(), "made.sf2").zones[0]
    assert soundfont.Zone.from_json(zone.as_json()) == zone


@pytest.mark.parametrize("data", [b"", b"RIFFxxxxWAVE", font()[:200]])
def test_what_is_no_sound_font_is_named(data):
    with pytest.raises(InputError, match=r"made\.sf2"):
        soundfont.read_preset(data, "made.sf2")


def test_a_missing_preset_is_named():
    with pytest.raises(InputError, match=r"made\.sf2: expected the preset 0:5"):
        soundfont.read_preset(font(), "made.sf2", program=5)
