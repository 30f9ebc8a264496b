"""The tracks as a table, a row for each track in each frame: CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import csv
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from videomt_ros.ros.lifting import Placement

from .cameras import Camera
from .errors import BagError
from .journal import Journal
from .places import Places

# Name, and type in Parquet. Times are nanoseconds, boxes and areas pixels of the image, positions
# and sizes metres; those of objects whose depth is unknown are empty.
COLUMNS = (
    ('camera', 'string'), ('topic', 'string'), ('frame', 'int64'), ('time_ns', 'int64'),
    ('stamp_ns', 'int64'), ('epoch', 'uint32'), ('track_id', 'uint32'), ('state', 'string'),
    ('class_id', 'uint16'), ('class_name', 'string'), ('score', 'float32'), ('x', 'uint32'),
    ('y', 'uint32'), ('width', 'uint32'), ('height', 'uint32'), ('area', 'uint32'),
    ('age', 'uint32'), ('mask_value', 'uint16'), ('first_seen_ns', 'int64'),
    ('last_seen_ns', 'int64'), ('position_x', 'float32'), ('position_y', 'float32'),
    ('position_z', 'float32'), ('size_x', 'float32'), ('size_y', 'float32'),
    ('size_z', 'float32'))
_ROWS_AT_ONCE = 4096


def table_rows(
    journal: Journal, cameras: Sequence[Camera], places: Places,
) -> Iterator[tuple[Any, ...]]:
    """
    Lay out the tracks, while the journal grows.

    :param journal: with the results.
    :param cameras: of the recording.
    :param places: of the objects in it, at its beginning.
    :returns: a row of :data:`COLUMNS` for each track in each frame that reports it.
    """
    for record in journal.follow():
        camera = cameras[record.camera]
        placements = places.of(record)
        for each in record.sightings:
            if each.track_id:
                yield (
                    camera.name, camera.topic.name, record.index, record.time, record.stamp,
                    record.epoch, each.track_id, each.state.name, each.class_id, each.class_name,
                    each.score, *each.box, each.area, each.age, each.mask_value, each.first_seen,
                    each.last_seen, *_metres(placements.get(each.track_id)))


def _metres(placement: Placement | None) -> tuple[float | None, ...]:
    if placement is None:
        return (None,) * 6
    return tuple(float(np.float32(each)) for each in (*placement.position, *placement.size))


def write_csv(
    path: Path, journal: Journal, cameras: Sequence[Camera], places: Places,
) -> None:
    """
    Write the table as text, with a line of names (RFC 4180, but lines end with LF).

    :param path: of the file.
    :param journal: with the results.
    :param cameras: of the recording.
    :param places: of the objects in it, at its beginning.
    """
    fractions = [kind == 'float32' for _, kind in COLUMNS]
    with path.open('w', encoding='utf8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(name for name, _ in COLUMNS)
        for row in table_rows(journal, cameras, places):
            writer.writerow(
                f'{value:.6f}' if fraction and value is not None else value
                for fraction, value in zip(fractions, row, strict=True))


def require_parquet() -> None:
    """
    See early that Parquet can be written.

    :raises BagError: when pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise BagError('--parquet needs pyarrow: pip install videomt_ros[fleet]') from None


def write_parquet(
    path: Path, journal: Journal, cameras: Sequence[Camera], places: Places,
) -> None:
    """
    Write the table as Parquet, compressed with zstd.

    :param path: of the file.
    :param journal: with the results.
    :param cameras: of the recording.
    :param places: of the objects in it, at its beginning.
    """
    import pyarrow  # tables as text need no more than Python has
    from pyarrow import parquet
    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS])
    rows = table_rows(journal, cameras, places)
    with parquet.ParquetWriter(path, schema, compression='zstd') as writer:
        while part := list(islice(rows, _ROWS_AT_ONCE)):
            columns = [pyarrow.array(values, kind) for values, kind in zip(
                zip(*part, strict=True), schema.types, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
