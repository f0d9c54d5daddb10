"""AdapterHub's library: batches whose rows have adapters of their own, through BatchSplit."""

import importlib
import time
from itertools import groupby
from pathlib import Path
from typing import Any


class Batches:
    """A plain encoder beside one with every adapter, so that the bare base pays for none."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Load both; `setup` has base, dtype, size and deltas (native directories by name)."""
        self._torch = importlib.import_module("torch")
        self._plain = _load(setup)
        self._adapted = _load(setup)
        importlib.import_module("adapters").init(self._adapted)
        for name, directory in setup["deltas"].items():
            _add(self._adapted, name, Path(directory), setup["size"])
        self._adapted.to(self._plain.dtype).eval()

    def __call__(self, job: dict[str, Any]) -> list[list[float]]:
        """Embed the prompts batch after batch, in their order."""
        rows = list(zip(job["models"], job["prompts"], strict=True))
        arrivals: list[list[float]] = []
        for first in range(0, len(rows), job["concurrency"]):
            start = time.perf_counter()
            # BatchSplit takes neighbours: rows of one adapter stand together.
            batch = sorted(rows[first : first + job["concurrency"]], key=lambda row: row[0])
            self.embed([model for model, _ in batch], [prompt for _, prompt in batch])
            arrivals += [[time.perf_counter() - start]] * len(batch)
        return arrivals

    def embed(self, models: list[str], prompts: list[list[int]]) -> Any:
        """The normalised means of the last hidden states [rows, hidden]; models are sorted."""
        ids = self._torch.tensor(prompts)
        with self._torch.inference_mode():
            hidden = self._model(models)(
                input_ids=ids, attention_mask=self._torch.ones_like(ids)
            ).last_hidden_state
            return self._torch.nn.functional.normalize(hidden.mean(1), dim=-1)

    def _model(self, models: list[str]) -> Any:
        if models[0] == "base":
            return self._plain
        split = importlib.import_module("adapters.composition").BatchSplit
        counts = {model: len(list(rows)) for model, rows in groupby(models)}
        self._adapted.set_active_adapters(split(*counts, batch_sizes=list(counts.values())))
        return self._adapted


def _load(setup: dict[str, Any]) -> Any:
    torch = importlib.import_module("torch")
    models = importlib.import_module("transformers").AutoModel
    return models.from_pretrained(setup["base"], dtype=getattr(torch, setup["dtype"])).eval()


def _add(model: Any, name: str, directory: Path, size: int) -> None:
    """Add an adapter after each feed-forward block and give it a native delta's tensors."""
    # What Polydelta's bottlenecks do unless told otherwise: the sub-block's bare output goes in.
    config = importlib.import_module("adapters").SeqBnConfig(
        reduction_factor=model.config.hidden_size / size,
        non_linearity="relu",
        original_ln_before=False,
    )
    model.add_adapter(name, config=config)
    load_file = importlib.import_module("safetensors.torch").load_file
    own = {"down": "adapter_down.0.weight", "down_bias": "adapter_down.0.bias"}
    own |= {"up": "adapter_up.weight", "up_bias": "adapter_up.bias"}
    state: dict[str, Any] = {}
    for key, tensor in load_file(directory / "delta.safetensors").items():
        site, _, field = key.split(":")
        layer = site.removesuffix(".after_feed_forward")
        state[f"{layer}.output.adapters.{name}.{own[field]}"] = tensor
    if unknown := model.load_state_dict(state, strict=False).unexpected_keys:
        raise RuntimeError(f"no adapter takes {', '.join(unknown)}")


prepare = Batches
