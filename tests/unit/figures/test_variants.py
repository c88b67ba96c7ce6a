"""The table of variants as a page shows it."""

from muse_core.figures.variants import variant_table
from muse_core.results.measurements import VariantRow


def test_an_exact_zero_and_a_leak_look_different() -> None:
    page = variant_table(
        [VariantRow("a", "x & y", 1234, 0.0, 99, 1.0), VariantRow("b", "z", 10, 2e-7, 99, 1.25)]
    )
    for text in (
        "0, exactly",
        "2.0e-07",
        "x &amp; y",
        "1,234",
        "× 1.25",
        "var(--good,inherit)",
        "var(--bad,inherit)",
    ):
        assert text in page, text
