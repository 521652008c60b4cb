"""The AC's database, SQLite or PostgreSQL: opened, migrated, and written to by one thread.

address, engines     where it is, and how a connection to either kind behaves
schema, migrations   its tables brought up to date, or another program's refused
database             transactions, group commit
tables, times        the tables and a column type for points in time
"""

from twoway.ac.storage.address import DatabaseAddress, parse_address
from twoway.ac.storage.database import Database, Failed
from twoway.ac.storage.times import UTCDateTime

__all__ = ["Database", "DatabaseAddress", "Failed", "UTCDateTime", "parse_address"]
