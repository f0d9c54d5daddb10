"""Pieces of an answer become items, in whatever order a model writes them."""

from server.api.response_output import ResponseOutput
from server.engine.output import CallPiece, Piece, TokenLogprob


def token(text: str) -> TokenLogprob:
    return TokenLogprob(5, text, text.encode(), -0.5, 0)


def test_every_change_of_what_is_written_is_another_item():
    output = ResponseOutput("resp-1")
    pieces = [
        Piece(0, "", reasoning="Hm", tokens=(1, 2)),
        Piece(0, "a", tokens=(3,)),
        Piece(0, "", calls=(CallPiece(0, "{", "c1", "f"),)),
        Piece(0, "", calls=(CallPiece(0, "}"), CallPiece(1, "[]", "c2", "g"))),
        Piece(0, "b", finish_reason="length"),
    ]
    events = [event for piece in pieces for event in output.take(piece)]
    items = [item.model_dump() for item in output.items]
    assert [(item["type"], item["status"]) for item in items] == [
        ("reasoning", "completed"),
        ("message", "completed"),
        ("function_call", "completed"),
        ("function_call", "completed"),
        ("message", "incomplete"),
    ]
    assert [item.get("arguments") for item in items] == [None, None, "{}", "[]", None]
    assert len({item["id"] for item in items}) == 5
    assert output.reasoning_tokens == 2
    opened = 0
    for event in events:
        opened += event.type == "response.output_item.added"
        # Nothing is told of an item before it is there, nor after the next is.
        assert event.output_index == opened - 1


def test_tokens_are_those_of_the_text_that_they_come_before():
    output = ResponseOutput("resp-1")
    pieces = [
        Piece(0, "", logprobs=(token("<"),)),
        Piece(0, "", reasoning="Hm", logprobs=(token("Hm"),)),
        Piece(0, "a", logprobs=(token("a"),)),
        Piece(0, "", logprobs=(token("b"),), finish_reason="stop"),
    ]
    told = [
        each.token
        for piece in pieces
        for event in output.take(piece)
        if event.type == "response.output_text.delta"
        for each in event.logprobs or ()
    ]
    assert told == ["a", "b"]
    assert output.scored == 2


def test_an_empty_answer_is_an_empty_message():
    output = ResponseOutput("resp-1")
    list(output.take(Piece(0, "", finish_reason="stop")))
    (item,) = output.items
    assert item.model_dump()["content"][0]["text"] == ""
    assert output.status == "completed"
