"""The declarations and the wheel's XSDs, compared on a machine that had no wheel yet.

The comparison is tests/unit/vehicle_iso/test_messages_declared.py; here the wheel is
installed first.
"""

from __future__ import annotations

import pytest

from tests.interop import exi_jar
from tests.unit.vehicle_iso import test_messages_declared as declarations

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def _wheel() -> None:
    exi_jar.install()


@pytest.mark.parametrize("name", declarations.SETS)
def test_schema_set(name: str) -> None:
    declarations.test_global_elements_agree(name)
    declarations.test_every_type_is_declared_once(name)
    declarations.test_types_agree_element_by_element(name)


def test_generated_text_and_counts() -> None:
    declarations.test_modules_are_what_the_generator_writes()
    declarations.test_known_counts_of_the_standard()
