"""Schemathesis makes requests out of the API's description, good and bad ones, and judges the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tally.schema import seed
from tally.settings import STAGES, Settings
from tests.reference.tally.serving import served

schemathesis: Any = pytest.importorskip("schemathesis")

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.filterwarnings("default")]

CUSTOMER, KEY = 41_001, "key-of-the-schema"
EXAMPLES = 25


@pytest.mark.parametrize("stage", STAGES)
def test_every_answer_is_one_that_is_described(plain: Settings, stage: str) -> None:
    """Good requests may still be refused: no description says how old an event is when it comes."""
    from schemathesis.checks import load_all_checks

    load_all_checks()
    seed.customer(plain, CUSTOMER, "schema", KEY)
    with served(replace(plain, stage=stage)) as (_, port):
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) == 7
        for operation in operations:
            judge(operation, schemathesis.GenerationMode.POSITIVE)
            if operation.path.startswith("/v1/"):  # the probes take nothing that could be wrong
                judge(operation, schemathesis.GenerationMode.NEGATIVE)


def judge(operation: Any, mode: Any) -> None:
    """Raises with each answer that is not described."""
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def judged(case: Any) -> None:
        case.call_and_validate(
            headers={"X-API-Key": KEY}, excluded_checks=[positive_data_acceptance]
        )

    judged()
