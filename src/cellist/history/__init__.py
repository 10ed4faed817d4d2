"""What happened: every run, written down behind the runs' backs and asked as DataFrames."""

from cellist.history.log import History
from cellist.history.records import RunRecord

__all__ = ["History", "RunRecord"]
