"""The table of variants: measured zeros, and that a leak would show."""

import pytest

from muse_core.evaluation.gradients import variant_table
from muse_core.models.block_variants import VARIANTS
from muse_core.models.gradient_routes import SHARED


def test_every_variant_is_a_row_without_a_forbidden_gradient() -> None:
    rows = variant_table.variant_rows()
    assert [row.name for row in rows] == list(VARIANTS) and rows[0].time == 1.0
    assert all(
        row.forbidden == 0.0 and row.pairs > 50 and row.parameters > 0 and row.time > 0
        for row in rows
    )
    by_name = {row.name: row.parameters for row in rows}
    assert by_name["grouped-query"] < by_name["multi-head"] < by_name["gated"]


def test_shared_routing_would_be_seen_to_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variant_table, "ORTHOGONAL", SHARED)
    monkeypatch.setattr(variant_table, "REPEATS", 1)
    assert all(row.forbidden > 0 for row in variant_table.variant_rows())
