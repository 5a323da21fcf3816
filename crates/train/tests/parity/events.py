"""Writes events.tfevents with TensorBoard's own record writer and messages.

    python events.py        (tensorboard 2.21)
"""

import pathlib

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

WALL_TIME = 1_700_000_000.25

events = [
    event_pb2.Event(wall_time=WALL_TIME, file_version="brain.Event:2"),
    event_pb2.Event(
        wall_time=WALL_TIME,
        step=5,
        session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
    ),
    event_pb2.Event(
        wall_time=WALL_TIME,
        step=300,
        summary=summary_pb2.Summary(
            value=[
                summary_pb2.Summary.Value(tag="lr", simple_value=1e-5),
                summary_pb2.Summary.Value(tag="reward", simple_value=-0.25),
            ]
        ),
    ),
]
with open(pathlib.Path(__file__).with_name("events.tfevents"), "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
