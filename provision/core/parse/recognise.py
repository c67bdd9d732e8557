"""Which programs' output a pasted text holds, and the probe that it makes."""

from __future__ import annotations

from provision.core.parse.nvidia_text.sources import LAST_RESORT
from provision.core.parse.nvidia_text.sources import SOURCES as NVIDIA
from provision.core.parse.other_vendors import SOURCES as OTHERS
from provision.core.parse.paste import CleanText, clean_paste, unwrap_json
from provision.core.parse.source_report import SourceReport, TextSource
from provision.model.facts import ConditionId, Outcome, Probe, Reading

PASTED = "pasted text"
# The reading that marks a probe as pasted. Its text is the ids of what is to be said of the text's form.
FORM_SOURCE = "paste"

SOURCES: tuple[TextSource, ...] = (*NVIDIA, *OTHERS)
_BY_KIND = {source.kind: source for source in (*LAST_RESORT, *SOURCES)}
_BY_SHAPE = {source.kind: source for source in LAST_RESORT}


def parse_as(kind: str, text: str) -> SourceReport | None:
    """What `text` says as output of the kind; None where it holds nothing of it, such as another failure."""
    sources = [table[kind] for table in (_BY_KIND, _BY_SHAPE) if kind in table]
    source = next((source for source in sources if source.recognise(text)), None)
    return None if source is None else source.parse(text)


def recognise(text: str) -> tuple[str, ...]:
    """The kinds of output in the text, most telling first; none for text that is not known."""
    return _find_kinds(text)[0]


def build_pasted_probe(text: str, created: str) -> Probe:
    """A probe with one reading for each kind of output that the text holds. `created`: ISO 8601 in UTC.

    The text may be as people send it: quoted, commented, indented, coloured, wrapped in JSON. Each reading has
    it without that. The first reading, `paste`, tells the ids of what was found about the form.
    """
    kinds, clean = _find_kinds(text)
    form = (*clean.conditions, *(() if kinds else (ConditionId.UNRECOGNISED,)))
    readings = (
        Reading(source=FORM_SOURCE, outcome=Outcome.OK, origin=PASTED, text=" ".join(form)),
        *(Reading(source=kind, outcome=Outcome.OK, origin=PASTED, text=clean.text) for kind in kinds),
    )
    return Probe(created=created, readings=readings)


def _find_kinds(text: str) -> tuple[tuple[str, ...], CleanText]:
    """The kinds, and the text in which they were found: a document that wraps an output hides most of it."""
    clean = clean_paste(text)
    kinds = _list_kinds(clean.text)
    unwrapped = unwrap_json(clean.text)
    if unwrapped is None:
        return kinds, clean
    inner = clean_paste(unwrapped)
    # The values of a document are not lines of an output: one that looks like a product's name is no list of GPUs.
    found = tuple(source.kind for source in SOURCES if source.recognise(inner.text))
    return (found, inner) if found and set(found) >= set(kinds) else (kinds, clean)


def _list_kinds(text: str) -> tuple[str, ...]:
    """What has no mark of its own, only values of a certain shape, counts where nothing else was found."""
    found = [source.kind for source in SOURCES if source.recognise(text)]
    return tuple(found or [source.kind for source in LAST_RESORT if source.recognise(text)][:1])
