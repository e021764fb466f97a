"""Everything a distributed Map reads and writes: data sets in S3 or in a folder, and the result files of a map run.

The way of the data: access.py finds a bucket (s3.py, folder.py), data_sets.py decides what is read, pieces.py gives an
object's bytes, csv_rows.py, json_items.py, json_lines.py and parquet_rows.py make blocks of items of them, blocks.py
pages of blocks, and reader.py hands the pages to the event loop. writer.py goes the other way.

Nothing here holds a data set or all results in memory, and nothing here runs on the event loop for longer than a page.
"""

from __future__ import annotations

from treadle.items.access import Access
from treadle.items.reader import DataSets
from treadle.items.s3 import S3Client, unasked
from treadle.items.writer import ResultFiles

__all__ = ["Access", "DataSets", "ResultFiles", "S3Client", "unasked"]
