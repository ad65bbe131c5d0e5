"""`[records]`: what is kept of what happened, and whose meter says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from chargerd.config_base import Section

Text = Annotated[str, Field(max_length=80)]


class RecordedMeter(Section):
    """`[records.meter]`: of the EVSEs' meters, as settlement needs it."""

    serial: Text = ""
    accuracy_class: Text = ""  # "MID B", "JIS C 1216-2 0.5", ...
    # Japan's 特定計量: the number of the notification to METI; "" = none was made.
    notification: Text = ""


class Records(Section):
    """`[records]`: one sample a second, ten while a reserve service is active."""

    enabled: bool = True
    path: Path | None = None  # None: "records" beside the store
    days: Annotated[int, Field(ge=1, le=400)] = 35
    max_megabytes: Annotated[int, Field(ge=64, le=1_000_000)] = 1024
    flush_s: Annotated[float, Field(ge=1, le=300)] = 60.0  # lost by a power cut
    meter: RecordedMeter = RecordedMeter()
