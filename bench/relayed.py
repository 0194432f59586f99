"""What a relay grows by between a fast writer and a slow reader, with more bytes than its test."""

import os
import sys

from programs import BACKENDS

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "interop"))
import harness  # noqa: E402
import relay  # noqa: E402

TRANSFER_BYTES = 4 << 30


def backends(build_folder):
    """Those to measure; none where the relay was not built."""
    return BACKENDS if os.path.exists(harness.Programs(build_folder).path("relay")) else []


def measure(build_folder, backend):
    """Bytes."""
    programs = harness.Programs(build_folder)
    return relay.growth(programs, ["--poller=" + backend], TRANSFER_BYTES)
