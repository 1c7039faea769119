"""Where the recorded references and the real chip are, if this checkout stands beside them."""

import pytest

from tests.kit.places import ROOT

SHARED = ROOT.parent / "shared"
PARITY = SHARED / "parity"
CHIP = SHARED / "data" / "sen1floods11-sample"

needs_parity = pytest.mark.skipif(
    not PARITY.is_dir(), reason=f"recorded reference outputs are not beside the checkout ({PARITY})"
)
needs_chip = pytest.mark.skipif(
    not CHIP.is_dir(), reason=f"the Sen1Floods11 sample chip is not beside the checkout ({CHIP})"
)
