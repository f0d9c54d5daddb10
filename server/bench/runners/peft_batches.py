"""Transformers and PEFT: static batches whose rows name their adapters."""

import time
from typing import Any


class Batches:
    """A plain model beside one that PEFT wrapped, so that the bare base pays for no adapter."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Load both; `setup` has base, dtype and deltas (directories by name)."""
        self._plain = _load(setup)
        self._wrapped = _wrap(_load(setup), setup["deltas"])

    def __call__(self, job: dict[str, Any]) -> list[list[float]]:
        """Answer the requests batch after batch, in their order."""
        size = job["concurrency"]
        arrivals: list[list[float]] = []
        for first in range(0, len(job["prompts"]), size):
            models = job["models"][first : first + size]
            prompts = job["prompts"][first : first + size]
            times = self._generate(models, prompts, job["output_tokens"])
            arrivals += [times] * len(models)
        return arrivals

    def _generate(self, models: list[str], prompts: list[list[int]], tokens: int) -> list[float]:
        import torch
        from transformers import StoppingCriteriaList

        bare = all(model == "base" for model in models)
        names = {} if bare else {"adapter_names": [_adapter(model) for model in models]}
        clock = Clock()
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            output = (self._plain if bare else self._wrapped).generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                pad_token_id=0,
                stopping_criteria=StoppingCriteriaList([clock]),
                **names,
            )
        # An encoder reads the prompt; what a decoder writes begins with a token of its own.
        written = output.shape[1] - (1 if self._plain.config.is_encoder_decoder else ids.shape[1])
        if written != tokens:
            raise RuntimeError(f"{written} tokens instead of {tokens}")
        return clock.times


class Clock:
    """Notes when each token of a batch came, in seconds after its own making; never stops one."""

    def __init__(self) -> None:
        """Start now."""
        self.times: list[float] = []
        self._start = time.perf_counter()

    def __call__(self, ids: Any, scores: Any, **others: Any) -> Any:
        """Note the time; no row is done."""
        del scores, others
        import torch

        self.times.append(time.perf_counter() - self._start)
        return torch.zeros(ids.shape[0], dtype=torch.bool)


prepare = Batches


def _load(setup: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    reads = AutoConfig.from_pretrained(setup["base"]).is_encoder_decoder
    maker = AutoModelForSeq2SeqLM if reads else AutoModelForCausalLM
    return maker.from_pretrained(setup["base"], dtype=getattr(torch, setup["dtype"])).eval()


def _wrap(model: Any, deltas: dict[str, str]) -> Any:
    from peft import PeftModel

    # The base's own precision: products of mixed ones would be slower.
    (first, directory), *others = deltas.items()
    wrapped = PeftModel.from_pretrained(
        model, directory, adapter_name=first, autocast_adapter_dtype=False
    )
    for name, directory in others:
        wrapped.load_adapter(directory, adapter_name=name, autocast_adapter_dtype=False)
    return wrapped.to(model.dtype).eval()


def _adapter(model: str) -> str:
    return "__base__" if model == "base" else model
