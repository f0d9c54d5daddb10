"""What texts begin and end with, as a request forces it, against `generate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from deltas.base import describe
from server.engine.engine import Engine
from server.engine.output import Generated
from server.engine.request import Request, Sampling
from server.errors import InvalidRequest
from server.model.base import Base
from tests.deltas.formats.peft_checkpoints import quietly
from tests.encoder_decoders import tiny_encoder_decoder
from tests.server.engine.engines import ask, serving, tiny_base, tiny_engine

SOURCE = (5, 31, 60, 9, 44, 2)
TOKENS = 12
NAMES = ("__fr__", "de_DE", "fra_Latn", "<mask>", *(f"__{a}x__" for a in "abcdefghij"))
FIRST = 116
"""The token of the first of these names; those of the last two are unknown to the base."""


def translating(family: str) -> Base:
    model = tiny_encoder_decoder(family)
    words = {f"w{index:03}": index for index in range(FIRST)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w003"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="w002", pad_token="w000")
    tokenizer.add_tokens([*NAMES], special_tokens=True)
    return Base(describe(model, f"tiny-{family}"), model, tokenizer)


def expected(family: str, **options: Any) -> list[int]:
    """What the reference library writes, the token that every text begins with left out."""
    with torch.no_grad(), quietly():
        return (
            tiny_encoder_decoder(family)
            .generate(
                input_ids=torch.tensor([SOURCE]),
                attention_mask=torch.ones(1, len(SOURCE), dtype=torch.long),
                do_sample=False,
                **options,
            )[0, 1:]
            .tolist()
        )


async def written(engine: Engine, **options: Any) -> list[int]:
    sampling = Sampling(max_tokens=TOKENS, **options)
    (output,) = await ask(engine, Request("x", "base", SOURCE, sampling))
    assert isinstance(output, Generated)
    return list(output.tokens)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("family", ["bart", "m2m_100"])
async def test_texts_begin_and_end_as_generate_forces_them(
    family: str, beams: int, tmp_path: Path
) -> None:
    async with serving(tiny_engine(translating(family), {}, tmp_path)) as engine:
        plain = await written(engine, num_beams=beams)
        assert plain == expected(family, max_new_tokens=TOKENS, num_beams=beams)
        begun: list[Sequence[int]] = [plain]
        for at, language in enumerate(("fr", "de_DE", "fra_Latn")):
            forced = FIRST + at
            found = await written(engine, language=language, num_beams=beams)
            assert found == await written(engine, forced_bos_token_id=forced, num_beams=beams)
            # The reference counts what is forced among the new tokens.
            (first, *rest) = expected(
                family, max_new_tokens=TOKENS + 1, num_beams=beams, forced_bos_token_id=forced
            )
            assert (first, rest) == (forced, found)
            begun.append(found)
        assert len({*map(tuple, begun)}) > 1
        for token in (2, 77):
            # That no end may come so early does not keep this one from coming.
            found = await written(
                engine, forced_eos_token_id=token, min_tokens=TOKENS, num_beams=beams
            )
            assert found == expected(
                family,
                max_new_tokens=TOKENS,
                min_new_tokens=TOKENS,
                num_beams=beams,
                forced_eos_token_id=token,
            )
            assert found[-1] == token


@pytest.mark.parametrize(
    ("options", "param", "told"),
    [
        ({"language": "xx"}, "language", "no language 'xx'; it has: ax, bx, cx, .*, …"),
        ({"language": "jx"}, "language", "no language 'jx'"),
        ({"language": "<mask>"}, "language", "no language"),
        ({"language": "fr", "forced_bos_token_id": 5}, "language", "not both"),
    ],
)
async def test_languages_that_are_none(
    options: dict[str, Any], param: str, told: str, tmp_path: Path
) -> None:
    async with serving(tiny_engine(translating("bart"), {}, tmp_path)) as engine:
        with pytest.raises(InvalidRequest, match=told) as caught:
            await written(engine, **options)
        assert caught.value.param == param


@pytest.mark.parametrize("options", [{"language": "fr"}, {"forced_bos_token_id": 5}])
async def test_a_text_that_is_continued_has_no_beginning(
    options: dict[str, Any], tmp_path: Path
) -> None:
    async with serving(tiny_engine(tiny_base("llama"), {}, tmp_path)) as engine:
        with pytest.raises(InvalidRequest, match="into the input") as caught:
            await written(engine, **options)
        assert [caught.value.param] == list(options)


async def test_a_tokenizer_without_languages_says_so(tmp_path: Path) -> None:
    model = tiny_encoder_decoder("bart")
    base = Base(describe(model, "tiny-bart"), model, tiny_base("llama").tokenizer)
    async with serving(tiny_engine(base, {}, tmp_path)) as engine:
        with pytest.raises(InvalidRequest, match="names no languages; send forced_bos_token_id"):
            await written(engine, language="fr")
