"""The language: names of modules, classes, functions, attributes, parameters and variables are terms of the field."""

from __future__ import annotations

import ast
import collections
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "streamseg").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))

# word: the term to use
BANNED = {
    **dict.fromkeys(("judge", "judges", "judged", "judging"), "boundary classifier"),
    **dict.fromkeys(("evidence", "testimony", "testimonies"), "candidate features, predictions"),
    **dict.fromkeys(("lesson", "lessons", "lessonbook", "taught", "told"), "feedback, observation"),
    **dict.fromkeys(("placing", "placed"), "refinement"),
    **dict.fromkeys(("cue", "cues"), "fingerprint, jingle"),
    **dict.fromkeys(("portrait", "portraits"), "section descriptor"),
    **dict.fromkeys(("likeness", "resemblance", "nearness"), "similarity"),
    **dict.fromkeys(("sticky", "stay"), "HMM filter, self-transition"),
    **dict.fromkeys(("quiet", "hush"), "silence detector"),
    **dict.fromkeys(("promptness", "prompt"), "timeliness"),
    **dict.fromkeys(("door", "visitor", "household", "allowance", "stranger", "strangers"), "limits, rate limiter"),
    **dict.fromkeys(("hearing", "hearings", "watching"), "session, supervisor"),
    **dict.fromkeys(("remembering", "remembered"), "name store, feedback store"),
    **dict.fromkeys(("spoken",), "calibration"),
    **dict.fromkeys(("deviation", "tally", "tallies", "tallied"), "std, running statistics"),
    **dict.fromkeys(("interest", "saying", "sayings"), "a term"),
    **dict.fromkeys(("said", "heard"), "a noun; emitted, processed"),
    **dict.fromkeys(("snapping", "snapped"), "alignment to a jingle"),
}
# Alone, a participle names neither an action nor a thing. Regular ones are found by their ending.
IRREGULAR_PARTICIPLES = {
    "begun", "broken", "chosen", "done", "drawn", "expecting", "forgetting", "forgotten", "found", "given", "gone",
    "grown", "held", "hidden", "kept", "known", "laid", "lain", "led", "listening", "lost", "made", "meant", "met",
    "returning", "running", "seen", "sent", "shown", "sleeping", "sold", "spent", "stuck", "sung", "taken", "thrown",
    "told", "understood", "unseen", "waiting", "woken", "worn", "written",
}  # fmt: skip
NO_PARTICIPLES = {"need", "speed", "seed", "feed", "embed", "exceed", "proceed", "hundred"}

# (module and name, as a regular expression): why it may stand.
EXCEPTIONS = {
    r"streamseg\.wire\.\w+\.[A-Z]\w+\.\w+": "a field of an event or a message: the names on the wire are law",
    r"streamseg\.outputs\.(cue|rekordbox)\b.*": "CUE sheets, and a program's own cue points",
    r"streamseg\.evaluation\.evaluate\.TrackScore\.\w+": "a column of the CSV file that `evaluate` writes",
    r"streamseg\.settings\.Settings\.\w+": "the name of a setting, that users have written into files",
    r"streamseg\.server\.protocol\.ProtocolState\.CLOSED": "a state, as RFC 6455 names it",
}


@dataclass(frozen=True)
class Name:
    """A name where it is bound: `streamseg.engine.meter.StreamMeter`, of a module, class, function or value."""

    place: str
    kind: str

    @property
    def words(self) -> list[str]:
        last = self.place.rpartition(".")[2]
        return [word for word in re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).lower().split("_") if word]


class Names(ast.NodeVisitor):
    """Collects every name that a module binds."""

    def __init__(self, module: str) -> None:
        self.found = {Name(module, "module")}
        self._scope = [module]
        self._classes: list[list[str]] = []

    def _add(self, name: str, kind: str) -> None:
        self.found.add(Name(".".join([*self._scope, name]), kind))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._add(node.name, "class")
        self._scope.append(node.name)
        self._classes.append(list(self._scope))
        self.generic_visit(node)
        self._classes.pop()
        self._scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._add(node.name, "function")
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_arg(self, node: ast.arg) -> None:
        self._add(node.arg, "value")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._add(node.id, "value")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self":
            self.found.add(Name(".".join([*self._classes[-1], node.attr]), "value"))
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._add(node.name, "value")
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._add(node.name, "value")
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._add(node.name, "value")


def names_in(source: str, module: str = "m") -> set[Name]:
    """Return every name that the source binds."""
    names = Names(module)
    names.visit(ast.parse(source))
    return names.found


def all_names(files: list[Path] = FILES) -> set[Name]:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return {name for module, path in modules.items() for name in names_in(path.read_text(), module)}


def find_fault(name: Name) -> str | None:
    """Return what is wrong with a name, or None."""
    words = name.words
    if any(re.fullmatch(pattern, name.place) for pattern in EXCEPTIONS):
        return None
    for place, word in enumerate(words):
        if word in BANNED and words[max(0, place - 1) : place] != ["standard"]:
            return f"{word}: say {BANNED[word]}"
    if name.kind in ("function", "value") and len(words) == 1:
        word = words[0]
        if word in IRREGULAR_PARTICIPLES or (word.endswith("ed") and word not in NO_PARTICIPLES):
            return f"{word}: a participle by itself"
    return None


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("def confirm_candidate(boundaries): return boundaries", set()),
        ("def heard_s(): pass", {"m.heard_s"}),
        ("def found(): pass", {"m.found"}),
        ("class Judge: pass", {"m.Judge"}),
        ("class A:\n  kept: int\n  def f(self):\n    self._closed = 1", {"m.A.kept", "m.A._closed"}),
        ("def f(wanted, *given, **taken): pass", {"m.f.wanted", "m.f.given", "m.f.taken"}),
        ("for a, (lost, *b) in x: pass", {"m.lost"}),
        ("with x as opened: pass", {"m.opened"}),
        ("[asked for asked in x if (told := asked)]", {"m.asked", "m.told"}),
        ("match x:\n  case {'a': seen, **rest}: pass\n  case [*held]: pass", {"m.seen", "m.held"}),
        ("try: pass\nexcept E as failed: pass", {"m.failed"}),
        ("standard_deviation = speed = x.kept", set()),
    ],
)
def test_wrong_names_are_found_wherever_they_are_bound(source, wrong):
    assert {name.place for name in names_in(source) if find_fault(name)} == wrong


def test_names_are_terms_of_the_field():
    faults = {name.place: fault for name in all_names() if (fault := find_fault(name))}
    assert not faults, "\n".join(f"{place}    {fault}" for place, fault in sorted(faults.items()))


def test_no_class_name_stands_twice():
    places = collections.defaultdict(list)
    for name in all_names(FILES + TOOLS):
        if name.kind == "class":
            places[name.place.rpartition(".")[2].lstrip("_")].append(name.place)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_exception_is_needed():
    names = {name.place for name in all_names()}
    for pattern in EXCEPTIONS:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
