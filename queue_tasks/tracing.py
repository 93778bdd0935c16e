"""Whether there is an OpenTelemetry to tell of what is enqueued and run; the spans are in spans.py.

Who sets up where spans go has imported its API. Until somebody has, nothing here does: it would be held for nobody.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext


def wanted() -> bool:
    """Whether somebody has set up where spans go."""
    if "opentelemetry.trace" not in sys.modules:
        return False
    from opentelemetry import trace  # noqa: PLC0415 - see above

    return type(trace.get_tracer_provider()) is not trace.ProxyTracerProvider


def carrier() -> dict[str, str]:
    """The current span, for another process; empty when there is none."""
    if not wanted():
        return {}
    from queue_tasks import spans  # noqa: PLC0415 - see above

    return spans.carrier()


def continuing(carried: dict[str, str]) -> AbstractContextManager[None]:
    """Within, the span that another process carried here is the current one."""
    if not carried:
        return nullcontext()
    try:
        from queue_tasks import spans  # noqa: PLC0415 - see above
    except ImportError:
        return nullcontext()
    return spans.continuing(carried)
