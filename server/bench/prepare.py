"""What every side of a comparison is given, made once."""

from collections.abc import Sequence
from pathlib import Path

from server.bench.errors import BenchError
from server.bench.measures import Measure
from server.bench.mix import Form
from server.bench.peers.peer import Setup
from server.bench.subject import Subject


def prepare(subject: Subject, measures: Sequence[Measure], form: Form, scratch: Path) -> Setup:
    """Find the base and write the deltas: LoRAs for a decoder, bottlenecks for an encoder.

    Raises BenchError if a measure asks an encoder for text.
    """
    # Only comparisons and synthetic deltas need Torch.
    from server.bench.bottleneck import write_bottlenecks
    from server.bench.lora import write_loras
    from server.bench.synthetic import projections
    from server.build import open_base
    from server.model.source import resolve_base
    from server.settings import Settings

    # The peers run on the processor.
    settings = Settings.gather(base=subject.base, device="cpu", **subject.settings)
    base = open_base(settings)
    loads = [measure.load for measure in measures]
    if not base.generates and any(load.output_tokens > 1 for load in loads):
        raise BenchError(f"The base {base.name} writes no text; give --measure encode.")
    count, folder = max(measure.tasks for measure in measures), scratch / "deltas"
    targets = projections(base.spec, every=form.every) if base.generates else ()
    return Setup(
        base=resolve_base(subject.base, settings.cache).directory,
        dtype=str(base.dtype).removeprefix("torch."),
        deltas=write_loras(base.model, base.spec, targets, form.rank, count, folder)
        if base.generates
        else write_bottlenecks(base.spec, form.rank, count, folder),
        targets=targets,
        rank=form.rank,
        streams=max(load.concurrency for load in loads),
        length=max(load.input_tokens + load.output_tokens for load in loads),
        scratch=scratch,
        quota=subject.quota,
    )
