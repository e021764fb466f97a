"""Lets the contract suites of the package say what was compared when one of their assertions fails."""

import pytest

pytest.register_assert_rewrite("treadle.testing.store_contract", "treadle.testing.integration_contract")
