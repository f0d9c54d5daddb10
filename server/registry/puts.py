"""Puts: deltas come in, are checked and kept, and answer."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Unpack

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from server.registry.blobs import Blobs
from server.registry.catalogue.catalogue import Catalogue
from server.registry.changes import Changes
from server.registry.checker import Checker
from server.registry.keeper import Keeper
from server.registry.names import TaskName
from server.registry.put import Put, Terms
from server.registry.registration import Registration
from server.registry.signatures import Signatures
from server.registry.staging import Staging
from server.registry.store import Store
from server.registry.task import Task
from server.registry.version import Version


class Puts:
    """Makes versions of deltas for one base; thread-safe and blocking.

    `on_checked` gets a version's delta just before it becomes active, on whichever thread.
    """

    def __init__(
        self,
        base: BaseSpec,
        store: Store,
        catalogue: Catalogue,
        keeper: Keeper,
        changes: Changes,
        blobs: Blobs,
        checker: Checker,
        signatures: Signatures | None = None,
    ) -> None:
        self.on_checked: Callable[[DeltaRef, Delta], None] = lambda *_: None
        self._base = base
        self._store = store
        self._catalogue = catalogue
        self._keeper = keeper
        self._rollout = keeper.rollout
        self._changes = changes
        self._blobs = blobs
        self._checker = checker
        self._signatures = signatures

    def make(
        self, name: TaskName, staging: Staging, *, by: str, **terms: Unpack[Terms]
    ) -> tuple[Registration, bool]:
        """Check a delta fully, then make it a version; see `Registry.put_staged`."""
        with self._changes.asked("put", name, by):
            formats.judge(staging.path, self._base)
            staging.drop_others(formats.files_of(staging.path))
            if self._signatures is not None:
                self._signatures.check(staging.path)
            ref = DeltaRef(str(name), staging.digest)
            put = Put(name=name, ref=ref, by=by, **terms)
            with self._changes.alone(name):
                return self._make(put, staging)

    def _make(self, put: Put, staging: Staging) -> tuple[Registration, bool]:
        current = put.check(self._catalogue.task(put.name))
        if current is not None and current.ref == put.ref:
            # Its files may be gone or damaged.
            with self._store.keeping(staging, put.ref.digest):
                self._blobs.share(put.ref.digest)
                return self._commit(put, current), False
        if current is None:
            self._catalogue.check_place(put.name)
        with self._kept(put.ref, staging) as version:
            return self._commit(put, version), True

    def _commit(self, put: Put, version: Version) -> Registration:
        now = time.time()

        def made(task: Task) -> Task:
            return put.made(task, version, now)

        task = self._keeper.change(put.name, put.act, made)
        self._blobs.confirm(put.ref.digest)
        return self._rollout.show(task)

    @contextmanager
    def _kept(self, ref: DeltaRef, staging: Staging) -> Generator[Version]:
        """Check what is staged and keep it in the store while it is being registered."""
        outline = self._checker.outline(staging)
        try:
            with self._store.keeping(staging, ref.digest):
                version = self._checker.read(ref, outline.bytes, self.on_checked)
                self._blobs.share(ref.digest)
                yield version
        except BaseException:
            self._rollout.drop(ref)
            raise
