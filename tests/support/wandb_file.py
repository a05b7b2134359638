"""A reader of the file of an offline W&B run, which W&B itself can only upload."""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_HEADER = 7
BLOCK, RECORD_HEADER = 32 * 1024, struct.Struct("<IHB")  # CRC, length, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbRun:
    name: str = ""
    project: str = ""
    group: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)
    num_runs: int = 0


def records(content: bytes) -> list[bytes]:
    """Yield the records of a LevelDB log, which are split at blocks of 32 KiB."""
    found, begun, position = [], b"", FILE_HEADER
    while position < len(content):
        left_in_block = BLOCK - position % BLOCK
        if left_in_block < RECORD_HEADER.size:
            position += left_in_block
            continue
        _, length, kind = RECORD_HEADER.unpack_from(content, position)
        position += RECORD_HEADER.size
        piece = content[position : position + length]
        position += length
        assert len(piece) == length, "cut short"
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        begun = piece if kind in (FULL, FIRST) else begun + piece
        if kind in (FULL, LAST):
            found.append(begun)
    return found


def put(target: dict[str, Any], items: Any) -> None:
    for item in items:
        path = list(item.nested_key) or [item.key]
        node = target
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = json.loads(item.value_json)


def read_run(directory: Path) -> WandbRun:
    """Return the only W&B run below a directory."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = directory.rglob("run-*.wandb")
    run = WandbRun()
    for content in records(path.read_bytes()):
        record = Record()
        record.ParseFromString(content)
        match record.WhichOneof("record_type"):
            case "run":
                run.num_runs += 1
                run.name, run.project, run.group = record.run.display_name, record.run.project, record.run.run_group
                run.tags = list(record.run.tags)
                put(run.config, record.run.config.update)
            case "config":
                put(run.config, record.config.update)
            case "history":
                run.history.append({})
                put(run.history[-1], record.history.item)
            case "summary":
                put(run.summary, record.summary.update)
            case "exit":
                run.exit_codes.append(record.exit.exit_code)
    return run
