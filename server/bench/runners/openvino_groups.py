"""OpenVINO GenAI: as many requests in flight as there are streams, grouped by adapter.

A batch has one set of adapters, whatever its rows ask for: those of the first row. So a batch here
is all requests in flight that want what the oldest of them wants.
"""

import importlib
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """A request in flight since `start`, on the monotonic clock."""

    model: str
    prompt: list[int]
    start: float = field(default_factory=time.perf_counter)
    arrivals: list[float] = field(default_factory=list[float])


class Groups:
    """A plain pipeline beside one with every adapter, so that the bare base pays for none."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Load both; `setup` has base, precision, streams and deltas (files by name)."""
        self._library = importlib.import_module("openvino_genai")
        adapters = {name: self._library.Adapter(file) for name, file in setup["deltas"].items()}
        self._choices = {name: self._library.AdapterConfig(one) for name, one in adapters.items()}
        self._plain = self._pipeline(setup, {})
        every = self._library.AdapterConfig(list(adapters.values()))
        self._adapted = self._pipeline(setup, {"adapters": every})

    def __call__(self, job: dict[str, Any]) -> list[list[float]]:
        """Answer the requests; one that is done makes room for the next in their order."""
        waiting = list(zip(job["models"], job["prompts"], strict=True))[::-1]
        flight: list[Request] = []
        answered: list[Request] = []
        while flight or waiting:
            while waiting and len(flight) < job["concurrency"]:
                flight.append(Request(*waiting.pop()))
            group = [request for request in flight if request.model == flight[0].model]
            self._generate(group, job["output_tokens"])
            flight = [request for request in flight if not request.arrivals]
            answered += group
        return [request.arrivals for request in answered]

    def _generate(self, group: list[Request], tokens: int) -> None:
        pipeline = self._plain if group[0].model == "base" else self._adapted
        settings = [self._settings(group[0].model, tokens)] * len(group)
        results = pipeline.generate([_tensor(request.prompt) for request in group], settings)
        for request, result in zip(group, results, strict=True):
            if len(result.m_generation_ids[0]) != tokens:
                raise RuntimeError(f"{len(result.m_generation_ids[0])} tokens, not {tokens}")
            # Milliseconds of the monotonic clock, one for each step of the batch.
            times = result.perf_metrics.raw_metrics.m_new_token_times
            request.arrivals = [moment / 1000 - request.start for moment in times]

    def _settings(self, model: str, tokens: int) -> Any:
        settings = self._library.GenerationConfig()
        settings.max_new_tokens = tokens
        settings.min_new_tokens = tokens
        settings.ignore_eos = True
        settings.do_sample = False
        if model != "base":
            settings.adapters = self._choices[model]
        return settings

    def _pipeline(self, setup: dict[str, Any], more: dict[str, Any]) -> Any:
        scheduling = self._library.SchedulerConfig()
        scheduling.cache_size = 1
        scheduling.max_num_seqs = setup["streams"]
        scheduling.enable_prefix_caching = False
        properties = {"INFERENCE_PRECISION_HINT": setup["precision"], **more}
        return self._library.ContinuousBatchingPipeline(
            setup["base"], scheduling, "CPU", properties
        )


def _tensor(prompt: list[int]) -> Any:
    numpy = importlib.import_module("numpy")
    openvino = importlib.import_module("openvino")
    return openvino.Tensor(numpy.array([prompt], dtype=numpy.int64))


prepare = Groups
