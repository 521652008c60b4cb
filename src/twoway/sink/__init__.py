"""The global sink: default subscriber of many publishers, stores what they publish.

``config`` reads ``sink.toml``, ``service`` holds the rules, ``store`` the readings, ``follower`` the
life of one observation, ``app`` wires them together.
"""

from twoway.sink.app import serve
from twoway.sink.config import PublisherConfig, SinkConfig, load_config
from twoway.sink.service import Intake, Row, take_untrusted
from twoway.sink.store import PublisherCount, ReadingStore

__all__ = [
    "Intake",
    "PublisherConfig",
    "PublisherCount",
    "ReadingStore",
    "Row",
    "SinkConfig",
    "load_config",
    "serve",
    "take_untrusted",
]
