"""Allowed sentences, and the search for sentences that say more than the evidence does."""

import json
import re
from functools import cache

from BMVascularCore.resources import resource


@cache
def wording():
    """The shipped sentences (``Resources/Evidence/wording.json``)."""
    return json.loads(resource("Evidence", "wording.json").read_text(encoding="utf-8"))


def texts_for(result, context):
    """Sentences that may be shown with one lesion, header first.

    Parameters
    ----------
    result : dict
        Entry of :attr:`Assessment.lesions` without its texts.
    context : Context

    Returns
    -------
    list of dict
        ``id``, ``text`` and ``source``.
    """
    allowed = wording()["texts"]
    keys = ["header", *_label_keys(result)]
    if any("VM" in flag for flag in result["flags"]):
        keys.append("vm_melanoma" if "VM-suspected features" in result["flags"] else "vm_elsewhere")
    if result["evidence"] and result["tier"] == "C":
        keys.append("tier_c")
    if any("EGFR" in item.upper() for item in context.molecular):
        keys.append("egfr")
    if any("anti-VEGF" in allowed[key]["text"] or "evacizumab" in allowed[key]["text"] for key in keys):
        keys += ["anti_vegf_harms", "anti_vegf_bleeding"]
    found = [{"id": key, **allowed[key]} for key in keys]
    for entry in found:
        entry["text"] = entry["text"].replace("{missing}", result["what_would_change"]["text"])
    return found


def _label_keys(result):
    text = result["phenotype"]
    for start, key in (
        ("not assessed", "treatment_effect"),
        ("angiogenic", "angiogenic"),
        ("VCO", "vco"),
        ("mixed", "mixed"),
    ):
        if text.startswith(start):
            return [key]
    return ["indeterminate"]


def over_claims(text):
    """Passages of a text that say more than the evidence does.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of (str, str)
        The passage and why it may not be said.
    """
    found = []
    for rule in wording()["over_claims"]:
        matches = re.finditer(rule["pattern"], text, flags=re.IGNORECASE)
        found += [(match.group(0), rule["why"]) for match in matches if not _denied(text, match.start())]
    return found


def _denied(text, start):
    """True where the words just before the passage deny it ("not", "never", "no", "instead of")."""
    before = text[max(0, start - 40) : start].lower()
    sentence = re.split(r"[.;:!?]\s|\n\n", before)[-1]
    return re.search(r"\b(not|never|no|nor|cannot|without|instead of|rather than)\b", sentence) is not None
