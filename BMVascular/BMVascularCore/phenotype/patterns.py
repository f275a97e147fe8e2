"""Patterns of measured changes, in words that stay with what was measured."""

from BMVascularCore.phenotype.score import ANGIOGENIC, VCO


def lesion_patterns(moved, anti_vegf):
    """Patterns of one lesion between two dates.

    Parameters
    ----------
    moved : dict
        Metric to +1 or -1, only changes that were measured (beyond limits, false discovery held).
    anti_vegf : bool
        Whether an anti-VEGF agent was given before the later date.

    Returns
    -------
    list of dict
        ``pattern`` and ``text``.
    """
    rise = {metric for metric, sign in moved.items() if sign > 0}
    fall = {metric for metric, sign in moved.items() if sign < 0}
    oedema_rise = rise & {"oedema_width", "oedema_ratio"}
    found = []
    if anti_vegf and "ktrans" in fall and "rcbv" in fall:
        found.append(("pruning-like", "permeability and blood volume both fell"))
    elif anti_vegf and "ktrans" in fall and "rcbv" not in rise and not oedema_rise:
        text = "permeability fell while blood volume did not measurably change"
        found.append(("normalisation-like", text))
    if fall & {"ktrans", "enhancing_fraction"} and (oedema_rise or "pet_nonenhancing" in rise):
        text = "less enhancement with growing non-enhancing component: review"
        found.append(("pseudo-response caution", text))
    if "ktrans" in rise and ("rcbv" in rise or oedema_rise):
        second = "blood volume" if "rcbv" in rise else "oedema"
        found.append(("re-angiogenic", f"permeability and {second} both rose"))
    return [{"pattern": pattern, "text": text} for pattern, text in found]


def groups_towards_vco(moved, rules):
    """Evidence groups in which a measured change points to the co-option side.

    Parameters
    ----------
    moved : dict
        Metric to +1 or -1.
    rules : dict

    Returns
    -------
    set of str
    """
    return {
        spec["group"]
        for spec in rules["inputs"]
        if moved.get(spec["id"], 0) == (1 if spec["one_sided"] else -1)
    }


def switch_state(states, rules):
    """Whether a lesion's timeline is compatible with a shift from angiogenic-dominant to VCO-leaning.

    Wanted are: stable labels at the first date and at least two consecutive later dates, measured change
    towards co-option in at least two evidence groups at each, and no drug window that reaches those dates.

    Parameters
    ----------
    states : list of dict
        In the order of the dates, the first one is the reference.
    rules : dict

    Returns
    -------
    dict
        ``candidate`` (bool), ``under_drug`` (bool) and ``text``.
    """
    settings, print_at = rules["change"], rules["monte_carlo"]["print_at"]
    first = states[0]
    if not _is(first, ANGIOGENIC, print_at):
        return _statement(False, False, "the first date has no stable angiogenic-dominant label")
    run, best, drug = 0, 0, False
    for state in states[1:]:
        groups = groups_towards_vco(state.get("measured", {}), rules)
        if _is(state, VCO, print_at) and len(groups) >= settings["switch_min_groups"]:
            run += 1
            drug = drug or bool(state["drugs_in_window"])
        else:
            run = 0
        best = max(best, run)
    if best == 0:
        return _statement(False, False, "no later date fulfils the conditions")
    if drug or first["drugs_in_window"]:
        return _statement(False, True, "cannot be separated from drug effect")
    if best < settings["switch_min_scans"]:
        return _statement(False, False, "seen on one later scan only: needs a further scan")
    text = "imaging change compatible with a shift; not proof of a change in vascular mechanism"
    return _statement(True, False, text)


def _is(state, label, print_at):
    if not state["present"] or state["rule_label"] != label:
        return False
    return state["stability"] is not None and state["stability"] >= print_at


def _statement(candidate, under_drug, text):
    return {"candidate": candidate, "under_drug": under_drug, "text": text}
