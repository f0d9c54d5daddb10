"""Whether embeddings equal those of sentence-transformers' own library, on the same checkpoints.

It wants the library beside this project's own packages, in an environment that is thrown away:
`pip install -r requirements-dev.txt sentence-transformers==6.2.0`, then
`python -m tests.oracles.compare_sentence_transformers [DIRECTORY …]`. Without directories, tiny
bases of several families are made, each with another way of pooling.
"""

import sys
import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from torch import nn

from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from server.model.base import load_base
from server.model.batch import Item
from server.model.runner import Runner
from tests.bases import save_base

_TEXTS = ("You won a prize!", "The meeting is at noon, see you there.", "naïve café — 東京 🙂")
_WITHIN = 1e-5
_MADE = {
    "bert": "mean",
    "electra": "cls",
    "distilbert": "max",
    "modernbert": "mean_sqrt_len_tokens",
    "ernie": "weightedmean",
    "albert": "lasttoken",
}


def _made(family: str, pooling: str, folder: Path) -> Path:
    transformer = Transformer(str(save_base(family, folder / "base")))
    modules: list[nn.Module] = [transformer, Pooling(32, pooling_mode=pooling)]
    modules += [Dense(32, 24), Dense(24, 16, activation_function=nn.Identity()), Normalize()]
    saved = folder / "saved"
    SentenceTransformer(modules=modules, prompts={"query": "query: "}).save(str(saved))
    return saved


@torch.no_grad()
def _difference(directory: Path) -> float:
    library = SentenceTransformer(str(directory), device="cpu")
    base = load_base(directory.name, directory, torch.float32, torch.device("cpu"))
    runner = Runner(base, 0)
    worst = 0.0
    for name in (None, *base.prompts.named):
        for text in _TEXTS:
            prompt = base.prompts.named[name] if name else ""
            tokens = base.tokenizer(prompt + text)["input_ids"]
            item = Item(BASE_SLOT, tokens, 0, Extent(), (), wants_hidden=True)
            found = runner.scores(BASE_SLOT, runner.forward([item]).hidden[0])
            expected = torch.from_numpy(library.encode(text, prompt_name=name))
            assert found is not None
            worst = max(worst, float((found - expected).abs().max()))
    return worst


def main(directories: list[str]) -> int:
    """Print how far each base's embeddings are from the library's; 1 if any is too far."""
    with tempfile.TemporaryDirectory() as folder:
        made = [_made(*each, Path(folder) / each[0]) for each in _MADE.items() if not directories]
        found = {each: _difference(each) for each in (*map(Path, directories), *made)}
    for directory, difference in found.items():
        sys.stdout.write(f"{directory}: {difference:.1e}\n")
    return int(max(found.values()) > _WITHIN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
