"""Readings: SenML packs (RFC 8428), and the sources that a publisher takes its figures from.

Pure but for the recordings, which a source reads when it is made. Nothing here knows who reads.
"""

from twoway.readings.csv_replay import CSVReplay
from twoway.readings.entry import MalformedSenML
from twoway.readings.host_figures import HostFigures
from twoway.readings.pack import CONTENT_FORMAT_SENML_CBOR, CONTENT_FORMAT_SENML_JSON, Pack
from twoway.readings.record import Record
from twoway.readings.source import Source, recorded_file
from twoway.readings.telegram_replay import TelegramReplay

__all__ = [
    "CONTENT_FORMAT_SENML_CBOR",
    "CONTENT_FORMAT_SENML_JSON",
    "CSVReplay",
    "HostFigures",
    "MalformedSenML",
    "Pack",
    "Record",
    "Source",
    "TelegramReplay",
    "recorded_file",
]
