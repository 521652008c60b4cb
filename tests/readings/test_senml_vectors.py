"""The examples of RFC 8428 itself: what they mean once resolved."""

import pytest

from twoway.readings import Pack, Record

NOW = 1_800_000_000.0
DEVICE = "urn:dev:ow:10e2073a01080063"
MOTE = "urn:dev:ow:10e2073a0108006:"

# Section 6: the seven entries of section 5.1.2 in CBOR.
SECTION_6 = bytes.fromhex(
    """
    87 a7 21 78 1b 75 72 6e 3a 64 65 76 3a 6f 77 3a 31 30 65 32 30 37 33 61 30 31 30 38 30 30 36 3a
    22 fb 41 d3 03 a1 5b 00 10 62 23 61 41 20 05 00 67 76 6f 6c 74 61 67 65 01 61 56 02 fb 40 5e 06
    66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06 24 02 fb 3f f3 33 33 33 33 33 33 a3 00 67 63 75
    72 72 65 6e 74 06 23 02 fb 3f f4 cc cc cc cc cc cd a3 00 67 63 75 72 72 65 6e 74 06 22 02 fb 3f
    f6 66 66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06 21 02 f9 3e 00 a3 00 67 63 75 72 72 65 6e
    74 06 20 02 fb 3f f9 99 99 99 99 99 9a a3 00 67 63 75 72 72 65 6e 74 06 00 02 fb 3f fb 33 33 33
    33 33 33
    """
)
CURRENTS = [1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
VOLTAGE_AND_CURRENTS = [
    *(Record(MOTE + "current", "A", 1276020071.001 + step, value) for step, value in enumerate(CURRENTS[:5])),
    Record(MOTE + "voltage", "V", 1276020076.001, 120.1),
    Record(MOTE + "current", "A", 1276020076.001, 1.7),
]


def test_section_5_1_1_a_single_datapoint():
    data = b'[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]'
    assert Pack.decode_json_untrusted(data, now=NOW) == [Record(DEVICE, "Cel", NOW, 23.1)]


def test_section_5_1_2_base_name():
    data = b"""[
        {"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
        {"n":"current","u":"A","v":1.2}
    ]"""
    assert Pack.decode_json_untrusted(data, now=NOW) == [
        Record(DEVICE + ":voltage", "V", NOW, 120.1),
        Record(DEVICE + ":current", "A", NOW, 1.2),
    ]


def test_section_5_1_2_base_time_base_unit_and_an_older_version():
    data = b"""[
        {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,
         "bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
        {"n":"current","t":-5,"v":1.2}, {"n":"current","t":-4,"v":1.3},
        {"n":"current","t":-3,"v":1.4}, {"n":"current","t":-2,"v":1.5},
        {"n":"current","t":-1,"v":1.6}, {"n":"current","v":1.7}
    ]"""
    assert Pack.decode_json_untrusted(data, now=NOW) == VOLTAGE_AND_CURRENTS


def test_section_6_the_cbor_example_byte_for_byte():
    assert Pack.decode_cbor_untrusted(SECTION_6, now=NOW) == VOLTAGE_AND_CURRENTS


def test_section_5_1_3_one_sensor_over_time_with_its_position():
    data = b"""[
        {"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
        {"u":"lon","v":24.30621}, {"u":"lat","v":60.07965},
        {"t":60,"v":20.3}, {"u":"lon","t":60,"v":24.30622}, {"u":"lat","t":60,"v":60.07965}
    ]"""
    assert Pack.decode_json_untrusted(data, now=NOW) == [
        Record(DEVICE, "%RH", 1320067464.0, 20.0),
        Record(DEVICE, "lon", 1320067464.0, 24.30621),
        Record(DEVICE, "lat", 1320067464.0, 60.07965),
        Record(DEVICE, "%RH", 1320067524.0, 20.3),
        Record(DEVICE, "lon", 1320067524.0, 24.30622),
        Record(DEVICE, "lat", 1320067524.0, 60.07965),
    ]


def test_section_5_1_5_the_four_kinds_of_value():
    data = b"""[
        {"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
        {"n":"label","vs":"Machine Room"}, {"n":"open","vb":false}, {"n":"nfc-reader","vd":"aGkgCg"}
    ]"""
    assert Pack.decode_json_untrusted(data, now=NOW) == [
        Record(DEVICE + ":temp", "Cel", NOW, 23.1),
        Record(DEVICE + ":label", None, NOW, string_value="Machine Room"),
        Record(DEVICE + ":open", None, NOW, boolean_value=False),
        Record(DEVICE + ":nfc-reader", None, NOW, data_value=b"hi \n"),
    ]


def test_section_5_1_6_a_collection_of_several_devices():
    data = b"""[
        {"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
        {"n":"humidity","u":"%RH","v":30},
        {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3}, {"n":"humidity","u":"%RH","v":67}
    ]"""
    assert Pack.decode_json_untrusted(data, now=NOW) == [
        Record("2001:db8::2/temperature", "Cel", 1320078429.0, 25.2),
        Record("2001:db8::2/humidity", "%RH", 1320078429.0, 30.0),
        Record("2001:db8::1/temperature", "Cel", 1320078429.0, 12.3),
        Record("2001:db8::1/humidity", "%RH", 1320078429.0, 67.0),
    ]


@pytest.mark.parametrize(
    ("json_value", "value"), [("1.0", 1.0), ("0.14e1", 1.4), ("30", 30.0), ("-0", 0.0), ("1e3", 1000.0)]
)
def test_numbers_in_every_spelling_come_out_as_doubles(json_value, value):
    (record,) = Pack.decode_json_untrusted(f'[{{"n":"a","v":{json_value}}}]'.encode(), now=NOW)
    assert record.value == value
    assert type(record.value) is float
