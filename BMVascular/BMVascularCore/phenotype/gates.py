"""Gates: facts that discount an input or stop the label before any evidence is weighed."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class GateResult:
    """What the gates say about one lesion.

    Attributes
    ----------
    quality : dict
        Input id to a factor 0..1.
    ramp : dict
        Input id to a factor on both limits.
    reasons : dict
        Input id to the sentences that explain its discount.
    gates : list of dict
        ``gate``, ``met`` (bool), ``effect``, ``source``: every gate, met or not.
    flags : list of str
    stopped : bool
        True when no label may be given.
    """

    quality: dict = field(default_factory=dict)
    ramp: dict = field(default_factory=dict)
    reasons: dict = field(default_factory=dict)
    gates: list = field(default_factory=list)
    flags: list = field(default_factory=list)
    stopped: bool = False

    def discount(self, ids, factor, reason):
        """Multiply the quality of inputs and keep the reason."""
        for key in ids:
            self.quality[key] = self.quality.get(key, 1.0) * factor
            self.reasons.setdefault(key, []).append(f"{reason} (quality x{factor:.2g})")

    def note(self, gate, met, effect, source):
        """Keep one gate in the record."""
        self.gates.append({"gate": gate, "met": bool(met), "effect": effect if met else "", "source": source})


def run_gates(lesion, context, rules):
    """Apply every gate to one lesion.

    Parameters
    ----------
    lesion : LesionInputs
    context : Context
    rules : dict

    Returns
    -------
    GateResult
    """
    result = GateResult()
    facts = {**lesion.facts, **context.facts_of(lesion)}
    for gate in (_treated, _drug, _size, _artefact, _protocol, _discordance, _histology):
        gate(result, lesion, facts, context, rules)
    _coverage(result, lesion, rules)
    return result


def _ids(rules, trait):
    return [spec["id"] for spec in rules["inputs"] if spec.get(trait)]


def _treated(result, lesion, facts, context, rules):
    gate = rules["gates"]["treated"]
    treated = context.of_type(gate["types"], lesion)
    effect = "no label: treatment effect possible; see the treatment-effect panel"
    if treated:
        result.flags.append("irradiated")
        result.stopped = not context.label_irradiated
        if context.label_irradiated:
            effect = "label given on request, marked irradiated"
    result.note("treated lesion", treated, effect, gate["source"])


def _drug(result, lesion, facts, context, rules):
    gate = rules["gates"]["drug"]
    names = drug_windows(context, lesion, gate)
    if names:
        result.discount(_ids(rules, "drug_sensitive"), gate["quality"], f"recent {' and '.join(names)}")
        result.flags.append("on-treatment")
    effect = f"{' and '.join(names)}: permeability, enhancement and oedema discounted"
    result.note("drug effect", names, effect, gate["source"])


def drug_windows(context, lesion, gate):
    """Drugs whose window reaches the scan; a drug without a usable date counts as recent.

    Returns
    -------
    list of str
    """
    names = []
    for kind, weeks in (("anti-VEGF", gate["anti_vegf_weeks"]), ("steroid", gate["steroid_weeks"])):
        for item in context.of_type([kind], lesion):
            # a steroid matters when it changes: at its start and at its end
            days = [d for d in (item.days_before, item.start_days_before) if d is not None]
            if kind == "anti-VEGF":
                days = days[:1]
            if not days or min(days) <= 7 * weeks:
                names.append(kind)
                break
    return names


def _size(result, lesion, facts, context, rules):
    gate = rules["gates"]["size"]
    diameter = facts.get("longest_diameter_mm", np.inf)
    voxels = facts.get("perfusion_voxels", np.inf)
    small = diameter < gate["min_diameter_mm"] or voxels < gate["min_perfusion_voxels"]
    if small:
        why = f"{diameter:.1f} mm" if np.isfinite(diameter) else f"{voxels:g} perfusion voxels"
        result.discount(_ids(rules, "perfusion"), gate["quality"], f"small lesion ({why})")
        result.flags.append("small")
    result.note("size", small, "perfusion discounted, no habitats", gate["source"])


def _artefact(result, lesion, facts, context, rules):
    gate = rules["gates"]["artefact"]
    reasons = [
        text
        for key, text in (("near_skull", "near the skull"), ("near_vessel", "near a large vessel"))
        if facts.get(key)
    ]
    itss = facts.get("itss_fraction", np.nan)
    if itss > gate["max_itss_fraction"]:
        reasons.append(f"signal loss in {itss:.0%} of the lesion")
    if reasons:
        result.discount(_ids(rules, "dsc"), gate["quality"], "; ".join(reasons))
        result.flags.append("susceptibility")
    result.note("artefact", reasons, f"DSC discounted: {'; '.join(reasons)}", gate["source"])


def _protocol(result, lesion, facts, context, rules):
    gate, protocol = rules["gates"]["protocol"], context.protocol
    corrected, preload, flip = (protocol.get(key) for key in ("leakage_correction", "preload", "flip_deg"))
    low_flip = flip is not None and flip <= gate["low_flip_deg"]
    reasons = []
    if corrected is False:
        reasons.append("no leakage correction")
    elif corrected is None:
        reasons.append("leakage correction not stated")
    if preload is None and not low_flip:
        reasons.append("preload not stated")
    if reasons:
        result.discount(_ids(rules, "dsc"), gate["quality"], "; ".join(reasons))
    effect = f"rCBV discounted: {'; '.join(reasons)}"
    result.note("protocol", reasons and "rcbv" in lesion.values, effect, gate["source"])


def _discordance(result, lesion, facts, context, rules):
    gate = rules["gates"]["discordance"]
    rcbv, cbf = lesion.number("rcbv"), lesion.number("cbf_ratio")
    odd = rcbv >= gate["rcbv_at_least"] and cbf < gate["cbf_below"]
    if odd:
        reason = f"blood volume high ({rcbv:.2g}) but flow low ({cbf:.2g}): leakage may inflate it"
        result.discount(_ids(rules, "dsc"), gate["quality"], reason)
        result.flags.append("DSC/flow discordance")
    result.note("DSC/flow discordance", odd, "rCBV discounted", gate["source"])


def _histology(result, lesion, facts, context, rules):
    gate = rules["gates"]["histology"]
    ramp = gate["ramp"].get(context.histology)
    effect = ""
    if ramp and context.histology_adjust:
        result.ramp.update(dict.fromkeys(_ids(rules, "dsc"), ramp))
        effect = f"rCBV limits x{ramp:.2f} for {context.histology}"
    elif ramp:
        reason = f"{context.histology} metastases have a high blood volume of their own"
        result.discount(_ids(rules, "dsc"), gate["quality"], reason)
        effect = "rCBV discounted"
    result.note("histology", ramp, effect, gate["source"])


def _coverage(result, lesion, rules):
    for spec in rules["inputs"]:
        measured = lesion.measured(spec["id"])
        if measured is not None and measured.share < 0.995:
            reason = f"the map covers {measured.share:.0%} of the lesion"
            result.discount([spec["id"]], measured.share, reason)


def vm_flag(lesion, context, rules):
    """The flag for features reported with vasculogenic mimicry; it never changes the balance.

    Returns
    -------
    str or None
        ``VM-suspected features`` only in melanoma; elsewhere a sentence that they do not mean this.
    """
    rule = rules["vm_flag"]
    facts = {**lesion.facts, **context.facts_of(lesion)}
    itss = facts.get("itss_fraction", np.nan)
    blood = itss >= rule["min_itss_fraction"] or (facts.get("t1_bright") and itss > 0)
    open_barrier = lesion.number("ktrans") >= rule["ktrans_at_least"]
    wide = lesion.number("oedema_ratio") >= rule["oedema_ratio_at_least"]
    if not (blood and (open_barrier or wide)):
        return None
    if context.histology == rule["histology"]:
        return "VM-suspected features"
    return "haemorrhage features present; not interpretable as VM outside melanoma"
