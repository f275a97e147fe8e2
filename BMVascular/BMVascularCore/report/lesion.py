"""What the report says about one lesion beside its evidence: habitats, treatment effect, delayed contrast."""

from BMVascularCore.report.page import escape, table


def findings(lesion):
    """Tables and sentences of one lesion; nothing where there is nothing to say.

    Parameters
    ----------
    lesion : dict
        Entry of ``phenotype.json``.

    Returns
    -------
    str
        HTML.
    """
    return _habitats(lesion.get("habitats")) + _treatment(lesion.get("treatment_effect")) + _delayed(lesion)


def _habitats(found):
    if not found:
        return ""
    if not found["assessable"]:
        return f'<p class="soft">Habitats are not assessable: {escape(found["reason"])}.</p>'
    columns = (
        ("name", "habitat"), ("volume_ml", "volume (mL)"), ("low_ml", "from (mL)"), ("high_ml", "to (mL)"),
        ("percent", "share (%)"), ("caution", "caution"),
    )  # fmt: skip
    rows = [part | {"percent": 100.0 * part["share"]} for part in found["lesion"]["habitats"]]
    caption = (
        f"Habitats with 95 % intervals, in {found['assessed_share']:.0%} of the lesion. "
        + ("Spatially mixed." if found["lesion"]["spatially_mixed"] else "Not called spatially mixed.")
        + _front(found["front_against_mirror"])
        + f" {found.get('method', '')}"
    )
    return table(rows, columns, caption, text=("name", "caution"))


def _front(found):
    names = {"ktrans_z": "Ktrans", "rcbv_z": "rCBV"}
    shown = [f"{names[key]} {value:+.1f}" for key, value in found.items() if value is not None]
    return f" Front against the mirrored shell, z: {', '.join(shown)}." if shown else ""


def _treatment(panel):
    if not panel:
        return ""
    columns = (
        ("family", "family"), ("title", "test"), ("value", "value"), ("limit", "limit"), ("favours", "favours"),
        ("likelihood_ratio", "published likelihood ratio"), ("likelihood_ratio_used", "used (capped)"),
        ("caution", "caution"), ("source", "source"),
    )  # fmt: skip
    rows = [
        vote
        | {
            "source": "; ".join(item["citation"] for item in vote["source"]),
            "caution": vote["caution"] if vote["reliable"] else f"not reliable: {vote['caution']}",
        }
        for vote in panel["votes"]
    ]
    text = ("family", "title", "favours", "caution", "source")
    shown = (
        table(rows, columns, "Treatment effect against progression, one test a family", text) if rows else ""
    )
    return f"{shown}<p>{escape(panel['text'])}</p>"


def _delayed(lesion):
    found = lesion.get("delayed_contrast")
    return f"<p>{escape(found['text'])}</p>" if found else ""
