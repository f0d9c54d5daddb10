"""The scheduler: who computes how many rows in the next step, in integers alone."""

from collections import deque
from dataclasses import dataclass

from deltas.errors import PolydeltaError
from deltas.segments import BASE_SLOT
from server.engine.background import Background
from server.engine.blocks import BlockPool
from server.engine.encoded import EncodedSources
from server.engine.prefix_cache import PrefixCache
from server.engine.residency import Residency
from server.engine.sequence import Sequence
from server.engine.turns import Turns

_PATIENCE = 256
"""Steps after which a sequence without a slot keeps younger ones from taking one."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A sequence and the number of rows it computes in this step."""

    sequence: Sequence
    rows: int


class Scheduler:
    """Continuous batching under one budget of rows a step.

    Running sequences come first, so that decoding never stalls behind prefill; long prompts are
    split over steps. A sequence whose delta is not at hand is passed over, never waited for.
    Without a pool of blocks (an encoder) a sequence is computed whole, in one step. Where there
    is a prefix cache, a sequence begins after what it finds there.

    Beams take a place each, and all of them or none have places, blocks and slots.

    Sequences in the background get what the others leave of places, blocks, slots and rows, no more
    rows in a step than these have in it, and give up whatever one of these lacks.
    """

    def __init__(
        self,
        residency: Residency,
        blocks: BlockPool | None,
        max_rows: int,
        max_sequences: int,
        prefixes: PrefixCache | None = None,
        turns: Turns | None = None,
        sources: EncodedSources | None = None,
    ) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.background = Background()
        self.preemptions = 0
        self.lacks_blocks = False
        """Whether a sequence had to wait in the last step for want of cache blocks."""
        self.lacks_slots = False
        """Whether a sequence had to wait in the last step because all slots were pinned."""
        self.blocks = blocks
        self.prefixes = prefixes
        self._sources = sources
        self._residency = residency
        self._max_rows = max_rows
        self._max_sequences = max_sequences
        self._failed: list[tuple[Sequence, PolydeltaError]] = []
        self._turns = turns or Turns()

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence."""
        (self.background.waiting if sequence.background else self.waiting).append(sequence)

    def schedule(self) -> list[Scheduled]:
        """Choose the next step's rows, ordered so that rows of one slot are neighbours."""
        self._residency.settle()
        chosen: list[Scheduled] = []
        self.lacks_slots = False
        self.lacks_blocks = not self._continue(self.running, self._max_rows, chosen)
        if self.waiting and not self.lacks_blocks:
            self._admit(chosen)
        for each in chosen:
            self._turns.charge(each.sequence, each.rows)
        if self.background:
            self._fill(chosen)
        return sorted(chosen, key=lambda scheduled: scheduled.sequence.slot or BASE_SLOT)

    def take_failed(self) -> list[tuple[Sequence, PolydeltaError]]:
        """Sequences dropped since the last call because their delta could not be loaded."""
        failed, self._failed = self._failed, []
        return failed

    def publish(self, sequence: Sequence) -> None:
        """Let others begin with what a sequence has computed, which is known to be sound."""
        # In the background it would push out what others can begin with.
        if self.prefixes is not None and not sequence.background:
            self.prefixes.publish(sequence)

    def disown(self, sequence: Sequence) -> None:
        """Let nobody begin with what a sequence and those beside it have computed."""
        for each in sequence.together:
            if self.prefixes is not None:
                self.prefixes.disown(each)
            if self._sources is not None:
                self._sources.disown(each)

    def end(self, sequence: Sequence) -> None:
        """Free all that a sequence and those beside it hold."""
        own = self._own(sequence)
        for each in sequence.together:
            if each in own.running:
                own.running.remove(each)
                self._let_go(each)
            elif each in own.waiting:
                own.waiting.remove(each)

    def _continue(self, running: list[Sequence], budget: int, chosen: list[Scheduled]) -> bool:
        """Give running sequences their rows; returns False if one had to be preempted."""
        kept = True
        at = 0
        # Preempting shortens the list from its end, never before `at`.
        while at < len(running) and budget > 0:
            sequence = running[at]
            rows = min(sequence.pending, budget)
            if not self._reserve(sequence, rows):
                if not self._clear(sequence):
                    self._preempt(running[-1])
                    kept = False
                continue
            if rows:
                # A beam that waits for those beside it has none.
                chosen.append(Scheduled(sequence, rows))
            budget -= rows
            at += 1
        return kept

    def _fill(self, chosen: list[Scheduled]) -> None:
        """Give the background what is left."""
        background = self.background
        rows = sum(scheduled.rows for scheduled in chosen)
        # A step with many more rows would keep those waiting whose rows are in it.
        budget = min(self._max_rows - rows, rows) if rows else self._max_rows
        while self._places < 0:
            self._preempt(background.running[-1])
        if not self._continue(background.running, budget, chosen):
            return
        budget -= sum(scheduled.rows for scheduled in chosen) - rows
        for sequence in list(background.waiting):
            if self._places < len(sequence.together) or budget <= 0:
                return
            first = self._first_rows(sequence, budget, alone=not chosen)
            if not first or not self._acquire(sequence):
                continue
            if not self._begin(sequence):
                self._let_go(sequence)
                return
            first = min(first, sequence.pending)
            self._run(sequence)
            self._reserve(sequence, first)
            chosen.append(Scheduled(sequence, first))
            budget -= first + sequence.unread

    @property
    def _places(self) -> int:
        """Places that the background leaves free; below 0 it has some that others want."""
        return self._max_sequences - len(self.running) - len(self.background.running)

    def _clear(self, sequence: Sequence) -> bool:
        """Have the background give up what a sequence lacks; False if it has nothing to give."""
        if sequence.background or not self.background.running:
            return False
        self._preempt(self.background.running[-1])
        return True

    def _admit(self, chosen: list[Scheduled]) -> None:
        budget = self._max_rows - sum(scheduled.rows for scheduled in chosen)
        starving = False
        # Those that wait are many: they are put in order only where one of them may begin.
        in_turn = self._turns.order(self.waiting, self.running) if self._has_place(budget) else ()
        for sequence in in_turn:
            if not self._has_place(budget, len(sequence.together)):
                return
            rows = self._first_rows(sequence, budget, alone=not chosen)
            if rows == 0 or (starving and not sequence.is_base):
                continue
            if not self._acquire(sequence):
                starving = starving or sequence.passed_over > _PATIENCE
                continue
            if not self._begin(sequence):
                self._let_go(sequence)
                self.lacks_blocks = True
                return
            rows = min(rows, sequence.pending)
            self._turns.take(sequence, oldest=sequence is self.waiting[0])
            self._run(sequence)
            self._reserve(sequence, rows)
            chosen.append(Scheduled(sequence, rows))
            budget -= rows + sequence.unread

    def _run(self, sequence: Sequence) -> None:
        """Let a sequence run that has got all it needs, and those beside it with it."""
        own = self._own(sequence)
        own.waiting.remove(sequence)
        own.running.extend(sequence.together)
        for each in sequence.together[1:]:
            # The source is there, too.
            each.slot = sequence.slot
            if not each.is_base:
                self._residency.pin(each.version.ref)
            if self._sources is not None:
                self._sources.enter(each)

    def _own(self, sequence: Sequence) -> "Scheduler | Background":
        """Who has a sequence running or waiting."""
        return self.background if sequence.background else self

    def _has_place(self, budget: int, count: int = 1) -> bool:
        return len(self.running) + count <= self._max_sequences and budget > 0

    def _first_rows(self, sequence: Sequence, budget: int, *, alone: bool) -> int:
        if sequence.reads:
            # A source is read whole, in one step.
            left = budget - sequence.unread
            return min(sequence.pending, left) if left > 0 else sequence.pending * alone
        if self.blocks is not None:
            return min(sequence.pending, budget)
        return sequence.pending if sequence.pending <= budget or alone else 0

    def _begin(self, sequence: Sequence) -> bool:
        """Take up what is computed already; returns False if there is no room for the rest."""
        if self.blocks is None:
            return True
        while self._sources is not None and not self._sources.enter(sequence):
            if not self._clear(sequence):
                return False
        if self.prefixes is not None:
            self.prefixes.enter(sequence)
        # Room for the whole prompt and a token: less would soon be taken away again.
        wanted = sequence.cache_length(sequence.pending) + sequence.generates
        beside = len(sequence.together) - 1
        while self.blocks.lacking(len(sequence.blocks), wanted) + beside > self.blocks.free:
            if not self._clear(sequence):
                return False
        if self.prefixes is not None and not sequence.background:
            self.prefixes.count(sequence)
        return True

    def _acquire(self, sequence: Sequence) -> bool:
        if sequence.is_base:
            sequence.slot = BASE_SLOT
            return True
        ref = sequence.version.ref
        try:
            sequence.slot = self._residency.acquire(ref)
            while sequence.slot is None and self._residency.full and self._clear(sequence):
                sequence.slot = self._residency.acquire(ref)
        except PolydeltaError as error:
            self.end(sequence)
            self._failed.append((sequence, error))
            return False
        if sequence.background:
            return sequence.slot is not None
        if sequence.slot is None and not self._residency.loading(ref):
            sequence.passed_over += 1
            self.lacks_slots = True
        return sequence.slot is not None

    def _reserve(self, sequence: Sequence, rows: int) -> bool:
        if self.blocks is None:
            return True
        # Of beams none must be preempted once another is in the step: they get theirs at once.
        lacking: list[tuple[Sequence, int]] = []
        for each in sequence.together:
            if each.pending:
                length = each.cache_length(rows if each is sequence else each.pending)
                lacking.append((each, self.blocks.lacking(len(each.blocks), length)))
        if sum(count for _, count in lacking) > self.blocks.free:
            return False
        for each, count in lacking:
            each.blocks.extend(self.blocks.take(count))
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """Take everything from a sequence and let it start over, its tokens kept."""
        own = self._own(sequence)
        for each in sequence.together:
            own.running.remove(each)
            self._let_go(each)
            each.preempted = True
        own.waiting.appendleft(sequence.together[0])
        if not sequence.background:
            self.preemptions += 1

    def _let_go(self, sequence: Sequence) -> None:
        if self.blocks is not None:
            self.blocks.give_back(sequence.blocks)
        if self._sources is not None:
            self._sources.leave(sequence)
        if not sequence.is_base:
            self._residency.release(sequence.version.ref)
        sequence.reset()
