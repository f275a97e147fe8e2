"""Allowed sentences and the search for over-claims in every text that a user can see."""

import ast
import json
from pathlib import Path

import pytest
from unit.phenotype_helpers import PROTOCOL

from BMVascularCore.phenotype import LesionInputs, assess_values, load_table
from BMVascularCore.phenotype.wording import over_claims, wording

ROOT = Path(__file__).resolve().parents[3]
_TEXT_FILES = ("*.ui", "*.html", "*.md", "*.json", "*.csv", "*.txt")
_SKIPPED = {".git", "build", "dist", ".venv", "__pycache__", "Testing", "out"}


def visible_files():
    for pattern in ("*.py", *_TEXT_FILES):
        for path in sorted(ROOT.rglob(pattern)):
            if not _SKIPPED & set(path.relative_to(ROOT).parts):
                yield path


def texts_of(path):
    """String literals of a Python file; the whole text of the others."""
    text = path.read_text(encoding="utf-8")
    if path.name == "wording.json":
        return [entry["text"] for entry in json.loads(text)["texts"].values()]
    if path.suffix != ".py":
        return [text]
    return [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("path", list(visible_files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_says_more_than_the_evidence(path):
    found = [claim for text in texts_of(path) for claim in over_claims(text)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "The probability of VCO is 0.8",
        "Probability of angiogenesis",
        "VCO detected in two lesions",
        "Co-option was confirmed.",
        "This tool detects vessel co-option",
        "angiogenesis measured by MRI",
        "VM diagnosed",
        "rCBV reflects microvessel density",
        "Ktrans predicts drug delivery",
        "Normalisation window open on day 9",
        "The lesion has switched to co-option",
        "switched into VCO",
        "Small oedema means infiltration",
        "QIBA-conformant Ktrans",
        "RANO-BM partial response",
        "We recommend bevacizumab",
        "clinically validated limits",
        "best treated with SRS",
    ],
)
def test_over_claims_are_found(text):
    assert over_claims(text)


@pytest.mark.parametrize(
    "text",
    [
        "Rule stability is not a probability of angiogenesis",
        "imaging change compatible with a shift",
        "barrier-preserved, high blood volume (co-option-compatible)",
        "Small oedema does not show co-option",
        "leaky, high blood volume (angiogenic-like)",
    ],
)
def test_careful_words_pass(text):
    assert over_claims(text) == []


def test_every_allowed_text_has_a_source_in_the_table():
    evidence = load_table().evidence
    for key, entry in wording()["texts"].items():
        assert entry["source"], key
        assert all(source in evidence for source in entry["source"]), key


def texts(context=None, **values):
    result = assess_values([LesionInputs("M1", 1, values)], PROTOCOL | (context or {})).lesions[0]
    return {entry["id"]: entry["text"] for entry in result["texts"]}


def test_texts_follow_the_label():
    angiogenic = texts(ktrans=0.2, rcbv=4.0, oedema_width=25, irregularity=0.0)
    assert next(iter(angiogenic)) == "header" and "Research use only" in angiogenic["header"]
    assert {"angiogenic", "anti_vegf_harms", "anti_vegf_bleeding"} <= set(angiogenic)
    assert "vco" in texts(ktrans=0.01, rcbv=1.0, oedema_width=2, irregularity=0.9)
    assert "FLAIR" in texts(ktrans=0.045)["indeterminate"] or "DSC" in texts(ktrans=0.045)["indeterminate"]
    treated = texts({"treatments": [{"type": "SRS"}]}, ktrans=0.2, rcbv=4.0)
    assert "treatment_effect" in treated and "angiogenic" not in treated
    assert "egfr" in texts({"molecular": ["EGFR L858R"]}, ktrans=0.2)
    assert "tier_c" in texts(oedema_width=25, enhancing_fraction=0.9)
    for entry in angiogenic.values():
        assert over_claims(entry) == []
