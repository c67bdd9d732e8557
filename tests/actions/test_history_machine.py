"""Applies, rollbacks, removals, collections, edits and kills in any order leave one whole state."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from provision.actions.candidate import inspect_generation
from provision.actions.gc import collect
from provision.actions.recover import recover
from provision.actions.remove import remove
from provision.actions.rollback import rollback
from provision.core.config_doc import diff_config
from provision.errors import StateError, UsageError
from provision.system.store import Store
from tests.support.faults import Killed, inject
from tests.support.history import FOREIGN, add_generation
from tests.support.sources import make_context

MODELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(sorted)
VARIANTS = st.sampled_from(["", "-new"])


class History(RuleBasedStateMachine):
    """The model is small: what somebody wrote into config.yaml, and which generations were promised to stay."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="provision-history-"))
        self.store = Store(self.root)
        self.ctx = make_context(self.root, {})
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda _descriptor: None)
        self.edits = 0

    @initialize(models=MODELS)
    def begin(self, models: list[str]) -> None:
        self.store.config_path.write_text(FOREIGN, encoding="utf-8")
        add_generation(self.store, {"main": models})

    @rule(models=MODELS, variant=VARIANTS)
    def apply(self, models: list[str], variant: str) -> None:
        recover(self.ctx, self.store)
        add_generation(self.store, {"main": models}, variants={"main": variant})

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.store.list_numbers()))
        rollback(self.ctx, number, approve=lambda _plan: None)
        assert self.store.load_active_number() == number

    @rule(name=st.sampled_from("abc"))
    def take_out(self, name: str) -> None:
        with contextlib.suppress(UsageError):
            remove(self.ctx, [name], approve=lambda _removed: None)

    @rule(keep=st.integers(1, 3))
    def collect_garbage(self, keep: int) -> None:
        collect(self.ctx, keep=keep, approve=lambda _garbage: None)
        assert len(self.store.list_numbers()) <= keep + 1
        assert collect(self.ctx, keep=keep, approve=lambda _garbage: None).items == ()

    @rule()
    def edit(self) -> None:
        self.edits += 1
        with self.store.config_path.open("a", encoding="utf-8") as stream:
            stream.write(f"mine{self.edits}: {self.edits}\n")

    @rule(at=st.integers(0, 60), data=st.data())
    def die(self, at: int, data: st.DataObject) -> None:
        """In the middle of a rollback, an apply or a collection; the next command comes at any time later."""
        number = data.draw(st.sampled_from(self.store.list_numbers()))
        act = data.draw(st.sampled_from(["rollback", "apply", "gc"]))
        with inject(self.patch, "kill", at), contextlib.suppress(Killed, StateError):
            if act == "rollback":
                rollback(self.ctx, number, approve=lambda _plan: None)
            elif act == "gc":
                collect(self.ctx, keep=1, approve=lambda _garbage: None)
            else:
                recover(self.ctx, self.store)
                add_generation(self.store, {"main": ["a", "c"]})
        self._finish_stacks()

    def _finish_stacks(self) -> None:
        """A stack whose making was cut short is made again by the next apply; here it goes."""
        for folder in self.store.stacks_dir.glob("[!.]*"):
            if not (folder / "provision-stack.json").exists():
                shutil.rmtree(folder)

    @invariant()
    def every_generation_can_become_active(self) -> None:
        for number in self.store.list_numbers():
            record = self.store.load_generation(number)
            assert inspect_generation(self.store, record, can_build=False).obstacle is None

    @precondition(lambda self: not self.store.load_pending())
    @invariant()
    def the_config_is_that_of_the_active_generation(self) -> None:
        if not self.store.config_path.exists():
            return
        text = self.store.config_path.read_text(encoding="utf-8")
        active = self.store.load_active()
        assert text.startswith(FOREIGN)
        data = yaml.safe_load(text)
        assert [data.get(f"mine{number}") for number in range(1, self.edits + 1)] == [
            *range(1, self.edits + 1)
        ]
        assert active is None or diff_config(text, active.config) == ()

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.root)


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
