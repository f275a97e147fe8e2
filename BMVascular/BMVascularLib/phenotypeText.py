"""What is said about one lesion, as rich text: label, gates, reasons, sentences with sources."""

from html import escape

from BMVascularCore.phenotype import load_table
from BMVascularCore.phenotype.score import INSUFFICIENT

_VERIFIED = {
    "yes": "",
    "no": " [not verified]",
    "from memory": " [from memory, not verified]",
    "assumption": " [design choice]",
}


def shownStability(lesion):
    """Rule stability to show, None where it says nothing: the label is withheld or too little was measured."""
    return None if lesion["rule_label"] == INSUFFICIENT else lesion["stability"]


def stabilityWords(lesion):
    """Rule stability in words for a table."""
    if lesion["rule_label"] == INSUFFICIENT and not lesion.get("withheld_label"):
        return "too few"
    shown = shownStability(lesion)
    return "withheld" if shown is None else f"{shown:.2f}"


def lesionHtml(lesion, treatmentNote=True):
    """Rich text for one lesion.

    Parameters
    ----------
    lesion : dict
        Entry of :attr:`BMVascularCore.phenotype.Assessment.lesions`.
    treatmentNote : bool
        With the tests for treatment effect, where there are any.

    Returns
    -------
    str
    """
    parts = [f"<h3>{escape(lesion['name'])}: {escape(lesion['phenotype'])}</h3>", _summary(lesion)]
    parts.append(f"<p><b>What would change it.</b> {escape(lesion['what_would_change']['text'])}</p>")
    met = [f"{gate['gate']}: {gate['effect']}" for gate in lesion["gates"] if gate["met"] and gate["effect"]]
    parts.append(_list("Gates that apply", met))
    parts.append(_list("Discounted", _reasons(lesion, "discounted_because")))
    parts.append(_list("Not used", _notUsed(lesion)))
    parts.append(_habitats(lesion))
    if treatmentNote and lesion.get("treatment_effect"):
        parts.append(_treatment(lesion["treatment_effect"]))
    parts.append(_sentences(lesion))
    parts.append(_sources(lesion))
    return "".join(parts)


def _summary(lesion):
    stability = stabilityWords(lesion).replace("too few", "does not apply (too few inputs)")
    shares = ", ".join(f"{name} {share:.2f}" for name, share in sorted(lesion["label_shares"].items()))
    # a withheld label must not come in by the back door
    drawn = "" if shownStability(lesion) is None else f"<br/>Share of draws: {escape(shares)}."
    flags = f"<br/>Flags: {escape('; '.join(lesion['flags']))}" if lesion["flags"] else ""
    return (
        f"<p>Rule stability {stability}, coverage {lesion['coverage']:.2f}, tier {lesion['tier']}."
        f"{drawn}{flags}</p>"
    )


def _reasons(lesion, key):
    return [
        f"{row['title']}: {'; '.join(row[key])}"
        for row in lesion["evidence"]
        if row["value"] is not None and row[key]
    ]


def _notUsed(lesion):
    return [
        f"{row['title']}: {row['not_used_because']}" for row in lesion["evidence"] if row["not_used_because"]
    ]


def _list(title, items):
    if not items:
        return ""
    return f"<p><b>{escape(title)}</b></p><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _habitats(lesion):
    found = lesion.get("habitats")
    if not found:
        return ""
    if not found["assessable"]:
        return f"<p><b>Habitats.</b> Not assessable: {escape(found['reason'])}.</p>"
    items = [
        f"{part['name']}: {part['volume_ml']:.2f} mL "
        f"({part['low_ml']:.2f} to {part['high_ml']:.2f}); {part['caution']}"
        for part in found["lesion"]["habitats"]
    ]
    mixed = "Spatially mixed." if found["lesion"]["spatially_mixed"] else "Not called spatially mixed."
    front = found["front_against_mirror"]
    shown = [f"{key[:-2]} {value:+.1f}" for key, value in front.items() if value is not None]
    if shown:
        mixed += f" Front against the mirrored shell (z): {', '.join(shown)}."
    return _list("Habitats (mL, 95 % interval)", items) + f"<p>{escape(mixed)}</p>"


def _treatment(panel):
    votes = []
    for vote in panel["votes"]:
        text = f"{vote['title']}: {vote['value']:.3g} against {vote['limit']:g}, favours {vote['favours']}"
        text += f" (likelihood ratio used {vote['likelihood_ratio_used']:.2g})"
        votes.append(text if vote["reliable"] else f"{text}; not reliable: {vote['caution']}")
    return _list("Treatment effect against progression", [*votes, panel["text"]])


def _sentences(lesion):
    evidence = load_table().evidence
    items = []
    for entry in lesion["texts"]:
        cited = [evidence[key]["citation"] for key in entry["source"] if key in evidence]
        source = f" <i>[{escape('; '.join(dict.fromkeys(cited)))}]</i>" if cited else ""
        items.append(f"<p>{escape(entry['text'])}{source}</p>")
    return "<hr/>" + "".join(items)


def _sources(lesion):
    seen = {}
    for row in lesion["evidence"]:
        for source in row["source"]:
            if row["value"] is not None:
                seen.setdefault(source["id"], source)
    items = [
        f"{source['id']}: {source['citation']}"
        + (f", doi {source['doi']}" if source["doi"] else "")
        + _VERIFIED.get(source["verified"], "")
        for _key, source in sorted(seen.items())
        if source["citation"] != "design choice"
    ]
    items.append("Weights and limits marked A in the evidence table are design choices of this project.")
    return _list("Sources of the limits", items)
