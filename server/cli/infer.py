"""`polydelta infer`: one question to a running server."""

import sys
from typing import Annotated, Literal

import typer

from polydelta_client import (
    Classification,
    Embedding,
    Generation,
    Output,
    Parameters,
    Polydelta,
)
from server.cli.flags import Format, Url, flag
from server.cli.printing import print_json, print_table, print_text

MaxTokens = Annotated[int | None, flag("max-tokens", help="Most tokens to write.")]
Temperature = Annotated[float | None, flag("temperature", help="0 takes the likeliest token.")]
TopP = Annotated[float | None, flag("top-p", help="Keep the likeliest tokens of this weight.")]
Seed = Annotated[int | None, flag("seed", help="The same seed gives the same text.")]
FunctionToApply = Annotated[
    Literal["softmax", "sigmoid", "none"] | None,
    flag("function-to-apply", help="What makes scores of a classifier's logits."),
]
Streaming = Annotated[bool, flag("stream", help="Print the text as it comes.")]


def infer(
    name: Annotated[str, typer.Argument(help='The task, or "base".')],
    text: Annotated[str, typer.Argument(help="The input; - reads standard input.")],
    *,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    function_to_apply: FunctionToApply = None,
    stream: Streaming = False,
    url: Url = None,
    output: Format = "text",
) -> None:
    """Ask a task of a running server."""
    text = sys.stdin.read() if text == "-" else text
    parameters = Parameters(
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        function_to_apply=function_to_apply,
    )
    with Polydelta(url) as client:
        if stream:
            for piece in client.stream(name, text, **parameters):
                print_text(piece.text, end="")
            return print_text("")
        answer = client.infer(name, text, **parameters)
    return print_json(answer.model_dump()) if output == "json" else _print(answer.outputs[0])


def _print(output: Output) -> None:
    match output:
        case Generation():
            print_text(output.text)
        case Classification():
            print_table(("LABEL", "SCORE"), output.scores.items())
        case Embedding():
            print_text(" ".join(f"{value:.6g}" for value in output.embedding))
        case _:
            rows = [(e.label, e.text, e.start, e.end, e.score) for e in output.entities]
            print_table(("LABEL", "TEXT", "START", "END", "SCORE"), rows)
