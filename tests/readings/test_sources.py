"""The sources: recorded telegrams, a recorded series, the host. What is wrong is found when they are made."""

import itertools
import logging
import sys
import time

import pytest
from dsmr_parser.parsers import TelegramParser

from twoway.errors import ConfigurationError
from twoway.readings import CSVReplay, HostFigures, Pack, Record, Source, TelegramReplay, recorded_file

NOW = 1_800_000_000.0
TELEGRAMS = ("p1/kaifa-v4.2.txt", "p1/iskra-v5.txt", "p1/sagemcom-t210.txt")
every_telegram = pytest.mark.parametrize("name", TELEGRAMS)


def figures(source):
    return {record.name: (record.value, record.unit) for record in source.read(NOW)}


def with_right_crc(body: bytes) -> bytes:
    """A telegram of ``body`` (``/`` to ``!``) that a meter could have sent."""
    return body + f"{TelegramParser.crc16(body.decode('latin-1')):04X}\r\n".encode()


def saved(tmp_path, data: bytes):
    file = tmp_path / "recording.txt"
    file.write_bytes(data)
    return file


class TestTelegramReplay:
    def test_a_dsmr_4_meter_gives_energy_power_current_and_gas(self):
        read = figures(TelegramReplay([recorded_file("p1/kaifa-v4.2.txt")], 1.0))
        assert read["energy/imported/1"] == (1581.123, "kWh")
        assert read["energy/imported/2"] == (1435.706, "kWh")
        assert read["power/imported"] == (2027.0, "W")
        assert read["power/imported/l2"] == (1247.0, "W")
        assert read["current/l2"] == (6.0, "A")
        assert read["gas/1"] == (981.443, "m3")
        assert len(read) == 16

    def test_a_dsmr_5_meter_gives_voltages_too(self):
        read = figures(TelegramReplay([recorded_file("p1/iskra-v5.txt")], 1.0))
        assert read["energy/exported/1"] == (2.444, "kWh")
        assert read["power/imported"] == (244.0, "W")
        assert read["voltage/l3"] == (229.0, "V")
        assert read["current/l1"] == (0.48, "A")
        assert read["gas/1"] == (0.107, "m3")
        assert len(read) == 19

    def test_an_austrian_meter_gives_totals_and_reactive_figures(self):
        read = figures(TelegramReplay([recorded_file("p1/sagemcom-t210.txt")], 1.0))
        assert read["energy/imported"] == (6545.766, "kWh")
        assert read["energy/exported"] == (0.058, "kWh")
        assert read["power/imported"] == (286.0, "W")
        assert read["reactive-energy/exported"] == (3897.726, "kvarh")
        assert read["reactive-power/exported"] == (166.0, "var")
        assert len(read) == 12

    def test_telegrams_follow_one_another_and_start_again(self):
        source = TelegramReplay([recorded_file(name) for name in TELEGRAMS], 1.0)
        counts = [len(source.read(NOW + step)) for step in range(6)]
        assert counts == [16, 19, 12, 16, 19, 12]

    def test_several_telegrams_may_stand_in_one_file(self, tmp_path):
        file = saved(tmp_path, b"".join(recorded_file(name).read_bytes() for name in TELEGRAMS))
        source = TelegramReplay([file], 1.0)
        assert [len(source.read(NOW)) for _ in range(4)] == [16, 19, 12, 16]

    def test_every_figure_bears_the_time_of_the_replay(self):
        source = TelegramReplay([recorded_file("p1/iskra-v5.txt")], 1.0)
        assert {record.time for record in source.read(NOW)} == {NOW}
        assert {record.time for record in source.read(NOW + 1)} == {NOW + 1}

    @every_telegram
    def test_a_reading_can_be_sent(self, name):
        sent = TelegramReplay([recorded_file(name)], 1.0).read(NOW)
        received = Pack.decode_cbor_untrusted(Pack(sent, "urn:dev:org:32473-meter/").encode_cbor(), now=0.0)
        assert [record.value for record in received] == [record.value for record in sent]

    @every_telegram
    def test_no_digit_of_a_telegram_can_be_changed(self, name, tmp_path):
        telegram = recorded_file(name).read_bytes()
        places = [place for place, byte in enumerate(telegram) if chr(byte).isdigit()]
        for place in itertools.islice(places, 0, None, 7):
            forged = bytearray(telegram)
            forged[place] ^= 1
            with pytest.raises(ConfigurationError, match="CRC is wrong"):
                TelegramReplay([saved(tmp_path, bytes(forged))], 1.0)

    @every_telegram
    def test_another_crc_is_refused(self, name, tmp_path):
        telegram = recorded_file(name).read_bytes().rstrip()
        with pytest.raises(ConfigurationError, match="CRC is wrong"):
            TelegramReplay([saved(tmp_path, telegram[:-4] + b"0000\r\n")], 1.0)

    def test_a_telegram_without_a_crc_is_refused(self, tmp_path):
        telegram = recorded_file("p1/kaifa-v4.2.txt").read_bytes().rstrip()
        with pytest.raises(ConfigurationError, match="not a recording of P1 telegrams"):
            TelegramReplay([saved(tmp_path, telegram[:-4] + b"\r\n")], 1.0)

    @pytest.mark.parametrize("extra", [b"half a line\r\n", b"\x00", b"!1234\r\n", b"/XYZ"])
    def test_nothing_may_stand_beside_the_telegrams(self, tmp_path, extra):
        telegram = recorded_file("p1/kaifa-v4.2.txt").read_bytes()
        for data in (telegram + extra, extra + telegram):
            with pytest.raises(ConfigurationError):
                TelegramReplay([saved(tmp_path, data)], 1.0)

    @pytest.mark.parametrize("data", [b"", b"\r\n", b"/KFM5\r\n", b"\xff" * 100, b"!6796"])
    def test_a_file_without_a_telegram_is_refused(self, tmp_path, data):
        with pytest.raises(ConfigurationError, match="not a recording of P1 telegrams"):
            TelegramReplay([saved(tmp_path, data)], 1.0)

    def test_an_unknown_version_is_refused_because_its_crc_would_go_unchecked(self, tmp_path):
        body = b"/XYZ5 METER\r\n\r\n1-3:0.2.8(30)\r\n1-0:1.8.1(000001.000*kWh)\r\n!"
        with pytest.raises(ConfigurationError, match="of no known version"):
            TelegramReplay([saved(tmp_path, with_right_crc(body))], 1.0)

    @pytest.mark.parametrize("line", [b"1-0:1.8.1(x*kWh)", b"1-0:1.8.1(1*2*kWh)", b"1-0:1.7.0(1)(2)"])
    def test_a_malformed_line_under_a_right_crc_is_refused_and_logs_nothing(self, tmp_path, line, caplog):
        body = b"/XYZ5 METER\r\n\r\n1-3:0.2.8(50)\r\n" + line + b"\r\n!"
        with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError, match="malformed"):
            TelegramReplay([saved(tmp_path, with_right_crc(body))], 1.0)
        assert caplog.records == []

    def test_a_telegram_without_figures_is_refused(self, tmp_path):
        body = b"/XYZ5 METER\r\n\r\n1-3:0.2.8(50)\r\n0-0:96.14.0(0002)\r\n!"
        with pytest.raises(ConfigurationError, match="no figure"):
            TelegramReplay([saved(tmp_path, with_right_crc(body))], 1.0)

    def test_figures_that_are_no_finite_number_or_of_an_unknown_unit_are_left_out(self, tmp_path):
        body = (
            b"/XYZ5 METER\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1(NaN*kWh)\r\n1-0:1.8.2(5*furlong)\r\n"
            b"1-0:1.7.0(1*kW)\r\n!"
        )
        read = figures(TelegramReplay([saved(tmp_path, with_right_crc(body))], 1.0))
        assert read == {"power/imported": (1000.0, "W")}

    def test_meters_behind_the_meter_are_named_by_kind_and_channel_and_unknown_kinds_left_out(self, tmp_path):
        body = (
            b"/XYZ5 METER\r\n\r\n1-3:0.2.8(50)\r\n"
            b"0-1:24.1.0(007)\r\n0-1:24.2.1(170102161005W)(00012.5*m3)\r\n"
            b"0-2:24.1.0(004)\r\n0-2:24.2.1(170102161005W)(00003.0*GJ)\r\n"
            b"0-3:24.1.0(003)\r\n!"
        )
        read = figures(TelegramReplay([saved(tmp_path, with_right_crc(body))], 1.0))
        assert read == {"water/1": (12.5, "m3")}

    def test_a_missing_file_is_named_in_one_sentence(self, tmp_path):
        missing = tmp_path / "missing.txt"
        with pytest.raises(ConfigurationError) as caught:
            TelegramReplay([missing], 1.0)
        assert str(caught.value) == (
            f"{missing}: the recording cannot be read: No such file or directory; "
            "check the path and its permissions"
        )

    def test_a_wrong_crc_is_told_with_the_file_in_one_sentence(self, tmp_path):
        telegram = recorded_file("p1/kaifa-v4.2.txt").read_bytes().replace(b"02.027", b"00.027")
        file = saved(tmp_path, telegram)
        with pytest.raises(ConfigurationError) as caught:
            TelegramReplay([file], 1.0)
        assert str(caught.value) == (
            f"{file}: the telegram's CRC is wrong, so it is not what the meter sent; record it again"
        )

    def test_a_missing_parser_says_what_to_install(self, monkeypatch):
        for module in [name for name in sys.modules if name.startswith("dsmr_parser")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "dsmr_parser", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'twoway\[meters\]'"):
            TelegramReplay([recorded_file("p1/kaifa-v4.2.txt")], 1.0)

    def test_no_file_is_refused(self):
        with pytest.raises(ConfigurationError):
            TelegramReplay([], 1.0)


class TestCSVReplay:
    def test_rows_follow_one_another_and_start_again(self, tmp_path):
        source = CSVReplay(saved(tmp_path, b"Time,Flow\n1,2.5\n2,3\n"), "flow", "l/s", 0.5)
        assert source.read(NOW) == [Record("flow", "l/s", NOW, 2.5)]
        assert source.read(NOW + 1) == [Record("flow", "l/s", NOW + 1, 3.0)]
        assert source.read(NOW + 2) == [Record("flow", "l/s", NOW + 2, 2.5)]
        assert source.interval == 0.5

    def test_the_recorded_flow_is_whole(self):
        source = CSVReplay(recorded_file("water-flow.csv"), "flow", "l/s", 1.0)
        values = [source.read(NOW)[0].value for _ in range(1269)]
        assert (values[0], values[1], values[1267], values[1268]) == (100.59, 100.89, 104.1, 100.59)

    @pytest.mark.parametrize(
        "row", [b"1", b"1,x", b"1,", b"1,2,3", b"1,nan", b"1,inf", b"", b"1;2", b"1,0x10", b"1,1e999"]
    )
    def test_a_row_that_is_no_time_and_number_is_named_by_its_line(self, tmp_path, row):
        file = saved(tmp_path, b"Time,Flow\n1,2.5\n" + row + b"\n2,3\n")
        with pytest.raises(ConfigurationError, match="line 3 is not a time and a number") as caught:
            CSVReplay(file, "flow", "l/s", 1.0)
        assert caught.value.where == str(file)

    @pytest.mark.parametrize("data", [b"", b"Time,Flow\n", b"\xff\xfe", b'Time,Flow\n"1,2\n'])
    def test_a_file_without_rows_or_that_is_no_csv_is_refused(self, tmp_path, data):
        with pytest.raises(ConfigurationError):
            CSVReplay(saved(tmp_path, data), "flow", "l/s", 1.0)

    def test_a_folder_is_refused_in_one_sentence(self, tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            CSVReplay(tmp_path, "flow", "l/s", 1.0)

    def test_a_recording_beyond_its_size_is_refused(self, tmp_path):
        file = tmp_path / "large.csv"
        with file.open("wb") as large:
            large.truncate((16 << 20) + 1)
        with pytest.raises(ConfigurationError, match="larger than"):
            CSVReplay(file, "flow", "l/s", 1.0)


class TestHostFigures:
    def test_the_figures_are_those_of_a_running_machine(self):
        read = figures(HostFigures(1.0))
        assert 0 <= read["cpu"][0] <= 100
        assert 0 < read["memory/used"][0] <= 100
        assert read["memory/available"][0] > 0
        assert read["load"][0] >= 0
        assert [read[name][1] for name in ("cpu", "memory/used", "memory/available", "load")] == [
            "%",
            "%",
            "B",
            None,
        ]

    def test_uptime_counts_from_the_start_of_the_machine_to_the_time_handed_in(self):
        now = time.time()
        source = HostFigures(1.0)
        first, later = (
            next(record for record in source.read(at) if record.name == "uptime") for at in (now, now + 60)
        )
        assert later.value - first.value == pytest.approx(60, abs=1.1)

    def test_a_reading_can_be_sent(self):
        sent = HostFigures(1.0).read(NOW)
        assert len(Pack.decode_json_untrusted(Pack(sent, "urn:dev:org:32473-host/").encode_json(), now=0.0))

    def test_the_hottest_sensor_is_the_temperature(self, monkeypatch):
        import psutil
        from psutil._ntuples import shwtemp

        families = {"a": [shwtemp("", 41.5, None, None), shwtemp("", 0.0, None, None)], "b": []}
        monkeypatch.setattr(psutil, "sensors_temperatures", lambda: families)
        assert figures(HostFigures(1.0))["temperature"] == (41.5, "Cel")

    def test_a_machine_without_sensors_has_no_temperature(self, monkeypatch):
        import psutil

        monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
        assert "temperature" not in figures(HostFigures(1.0))

    def test_a_missing_psutil_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psutil", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'twoway\[host\]'"):
            HostFigures(1.0)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_an_interval_must_be_a_positive_time(interval):
    with pytest.raises(ConfigurationError):
        HostFigures(interval)
    with pytest.raises(ConfigurationError):
        CSVReplay(recorded_file("water-flow.csv"), "flow", "l/s", interval)
    with pytest.raises(ConfigurationError):
        TelegramReplay([recorded_file("p1/iskra-v5.txt")], interval)


def test_all_three_are_sources():
    sources: list[Source] = [
        TelegramReplay([recorded_file("p1/iskra-v5.txt")], 1.0),
        CSVReplay(recorded_file("water-flow.csv"), "flow", "l/s", 2.0),
        HostFigures(3.0),
    ]
    assert [source.interval for source in sources] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["", "p1", "p1/none.txt", "../pack.py", "/etc/passwd", "SOURCES.md"])
def test_only_recordings_are_recorded_files(name):
    with pytest.raises(ConfigurationError, match="there is no recorded file"):
        recorded_file(name)


def test_every_recording_is_named_in_the_source_note():
    note = (recorded_file("water-flow.csv").parent / "SOURCES.md").read_text("utf-8")
    assert all(f"`{name}`" in note for name in (*TELEGRAMS, "water-flow.csv"))
