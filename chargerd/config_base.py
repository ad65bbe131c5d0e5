"""What every table of the configuration is made of. Owns no table itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Watts = Annotated[float, Field(ge=0, le=2_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=50,
        pattern=r"^[\x21-\x7e ]+$",
        description="printable ASCII characters",
    ),
]


class Section(BaseModel):
    """Base of every table: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
