"""With OpenTelemetry installed each command is a span and a duration; without, nothing is."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

# The library's providers are of a process: each test has its own.
_SET_UP = """
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))

    from trimaran.client.router import RouterStats
    from trimaran.client.telemetry import telemetry_of

    telemetry = telemetry_of(lambda: RouterStats(retries=7))
"""


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_command_is_a_span_with_its_name_and_error() -> None:
    script = textwrap.dedent(_SET_UP) + textwrap.dedent("""
        with telemetry.operation("SET", 3):
            pass
        try:
            with telemetry.operation("MULTI", 0, size=5):
                raise KeyError("x")
        except KeyError:
            pass
        for span in spans.get_finished_spans():
            print(span.name, span.kind.name, sorted(span.attributes.items()))
    """)
    first, second = run(script).splitlines()
    assert first == (
        "SET CLIENT [('db.namespace', '3'), ('db.operation.name', 'SET'),"
        " ('db.system.name', 'redis')]"
    )
    assert "('db.operation.batch.size', 5)" in second
    assert "('error.type', 'KeyError')" in second


def test_durations_and_counts_are_metrics() -> None:
    script = textwrap.dedent(_SET_UP) + textwrap.dedent("""
        with telemetry.operation("SET", 3):
            pass
        for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
            for one in scope.metrics:
                point = one.data.data_points[0]
                print(one.name, getattr(point, "count", None) or point.value)
    """)
    found = dict(line.split() for line in run(script).splitlines())
    assert found["db.client.operation.duration"] == "1"
    assert found["trimaran.client.retries"] == "7"


@pytest.mark.parametrize("is_installed", [True, False])
def test_without_the_library_there_is_none(*, is_installed: bool) -> None:
    hide = "" if is_installed else "import sys; sys.modules['opentelemetry'] = None\n"
    script = hide + textwrap.dedent("""
        import trimaran
        print(trimaran.Client()._home.telemetry is not None)
    """)
    assert run(script) == str(is_installed)


def test_nobody_is_told_until_the_application_says_where_to() -> None:
    script = textwrap.dedent("""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from trimaran.client import telemetry as module
        from trimaran.client.router import RouterStats

        telemetry = module.telemetry_of(RouterStats)
        before = telemetry.is_heard
        trace.set_tracer_provider(TracerProvider())
        module._LOOK_S = telemetry._look_at = 0.0
        print(before, telemetry.is_heard)
    """)
    assert run(script) == "False True"
