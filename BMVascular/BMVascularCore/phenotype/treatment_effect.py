"""Irradiated lesions: which way each published test points. No single posterior is formed."""

import numpy as np

_TRACERS = ("fet", "met", "fdopa")


def treatment_panel(lesion, context, table):
    """Votes of the available tests, at most one a family.

    Parameters
    ----------
    lesion : LesionInputs
        ``tbr`` (95th percentile stands for the maximum), ``rcbv``, ``vp_ratio``, ``wash_in``; facts
        ``central_restriction`` and ``pet_positive_read`` (yes or no).
    context : Context
        ``pet_tracer`` decides which PET limit applies.
    table : Table

    Returns
    -------
    dict
        ``votes`` (list of dict), ``verdict`` (*favours progression*, *favours treatment effect*, *mixed*,
        *no test available*), ``pretest`` band, ``text``. Each likelihood ratio is the published one, capped.
    """
    rule = table.rules["treatment_effect"]
    facts = {**lesion.facts, **context.facts_of(lesion)}
    votes = {}
    for test in sorted(rule["tests"], key=lambda item: item["rank"]):
        value = _value(test, lesion, facts, context)
        if value is not None and test["family"] not in votes:
            votes[test["family"]] = _vote(test, value, rule, table)
    if facts.get("hypoperfused_before_srs") and "perfusion" in votes:
        votes["perfusion"]["reliable"] = False
        votes["perfusion"]["caution"] = "the lesion was poorly perfused before radiosurgery"
    found = [votes[family] for family in sorted(votes)]
    verdict = _verdict([vote for vote in found if vote["reliable"]])
    low, high = rule["pretest"]
    return {
        "votes": found,
        "verdict": verdict,
        "pretest": [low, high],
        "text": f"Tests together: {verdict}. Pre-test share of progression between {low:g} and {high:g} "
        "depending on the cohort; no single probability is given.",
        "source": rule["source"],
    }


def _value(test, lesion, facts, context):
    if test["family"] == "pet" and test["id"] in _TRACERS:
        if str(context.pet_tracer or "").lower().replace("18f-", "") != test["id"]:
            return None
        measured = lesion.measured("tbr")
        return None if measured is None else (measured.p95 if measured.p95 is not None else measured.value)
    if test["statistic"] == "yes or no":
        key = "pet_positive_read" if test["id"] == "pet_visual" else test["id"]
        return None if facts.get(key) is None else float(bool(facts[key]))
    value = lesion.number(test["id"])
    return value if np.isfinite(value) else None


def _vote(test, value, rule, table):
    above = value >= test["limit"]
    progression = above if test["supports_progression"] == "at least" else not above
    between = "limit_low" in test and test["limit_low"] <= value < test["limit"]
    if test["supports_progression"] == "at least":
        ratio = test["lr_positive"] if above else test["lr_negative"]
    else:
        # published for necrosis: turned round, so that above 1 always speaks for progression
        ratio = 1.0 / (test["lr_positive"] if above else test["lr_negative"])
    if between:
        ratio = 1.0
    capped = float(np.clip(ratio, 1.0 / rule["cap"], rule["cap"]))
    direction = "neither" if between else "progression" if progression else "treatment effect"
    return {
        "test": test["id"],
        "title": test["title"],
        "family": test["family"],
        "value": float(value),
        "limit": test["limit"],
        "statistic": test["statistic"],
        "favours": direction,
        "likelihood_ratio": float(ratio),
        "likelihood_ratio_used": capped,
        "reliable": True,
        "caution": "",
        "source": [
            {
                "id": key,
                "citation": table.evidence[key]["citation"],
                "verified": table.evidence[key]["verified"],
            }
            for key in test["source"]
        ],
    }


def _verdict(votes):
    sides = {vote["favours"] for vote in votes} - {"neither"}
    if not votes:
        return "no test available"
    if len(sides) == 2 or not sides:
        return "mixed"
    return "favours progression" if sides == {"progression"} else "favours treatment effect"
