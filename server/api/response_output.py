"""Response output: an answer's pieces, put together to items and told as events."""

from collections.abc import Iterator
from typing import Literal

from server.api.response_drafts import CallDraft, Draft, MessageDraft, ReasoningDraft
from server.api.response_items import ItemStatus, OutputItem, ResponseEvent
from server.engine.output import CallPiece, FinishReason, Piece, TokenLogprob


class ResponseOutput:
    """The items of the answer `name`, as its pieces come.

    Each item ends before the next begins. An answer without anything holds an empty message.
    """

    def __init__(self, name: str) -> None:
        self._suffix = name.partition("-")[2]
        self._drafts: list[Draft] = []
        self._open: Draft | None = None
        self._waiting: list[TokenLogprob] = []
        """Tokens of which no item is known yet."""
        self.finish: FinishReason | None = None
        self.reasoning_tokens = 0
        """Tokens of the pieces that brought reasoning."""
        self.scored = 0
        """Log-probabilities in all messages."""

    @property
    def items(self) -> list[OutputItem]:
        """All items; the last of an answer that is not whole is not whole, either."""
        last = len(self._drafts) - 1
        return [
            draft.item(self.status if at == last else "completed")
            for at, draft in enumerate(self._drafts)
        ]

    @property
    def status(self) -> Literal["completed", "incomplete"]:
        """Whether the answer ended by itself."""
        return "incomplete" if self.finish in (None, "length") else "completed"

    def take(self, piece: Piece) -> Iterator[ResponseEvent]:
        """Add a piece and tell what it brings."""
        if piece.reasoning:
            self.reasoning_tokens += len(piece.tokens)
            yield from self._reason(piece.reasoning)
        yield from self._say(piece.text, piece.logprobs)
        for call in piece.calls:
            yield from self._call(call)
        if piece.finish_reason:
            self.finish = piece.finish_reason
            if not self._drafts:
                yield from self._begin(MessageDraft(self._id("msg"), 0))
            yield from self._end(self.status)

    def _reason(self, text: str) -> Iterator[ResponseEvent]:
        draft = self._open
        if not isinstance(draft, ReasoningDraft):
            draft = ReasoningDraft(self._id("rs"), len(self._drafts))
            yield from self._begin(draft)
        yield draft.go_on(text)

    def _say(self, text: str, tokens: tuple[TokenLogprob, ...]) -> Iterator[ResponseEvent]:
        draft = self._open
        if draft is None or isinstance(draft, MessageDraft):
            self._waiting += tokens
        if text and not isinstance(draft, MessageDraft):
            self._waiting = [*tokens] if draft else self._waiting
            draft = MessageDraft(self._id("msg"), len(self._drafts))
            yield from self._begin(draft)
        if isinstance(draft, MessageDraft) and (text or self._waiting):
            yield draft.say(text, self._waiting)
            self.scored += sum(1 + len(token.top) for token in self._waiting)
            self._waiting = []

    def _call(self, piece: CallPiece) -> Iterator[ResponseEvent]:
        draft = self._open
        if piece.name:
            draft = CallDraft(self._id("fc"), len(self._drafts), piece.id, piece.name)
            yield from self._begin(draft)
        if draft is not None and piece.arguments:
            yield draft.go_on(piece.arguments)

    def _begin(self, draft: Draft) -> Iterator[ResponseEvent]:
        yield from self._end("completed")
        self._drafts.append(draft)
        self._open = draft
        yield from draft.begin()

    def _end(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        if self._open is not None:
            yield from self._open.end()
            yield self._open.done(status)
            self._open = None

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._suffix}_{len(self._drafts)}"
