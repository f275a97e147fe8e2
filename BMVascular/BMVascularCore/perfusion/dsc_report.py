"""What is said about a DSC run: protocol notes and the methods text."""

import numpy as np

from BMVascularCore.perfusion import dsc_masks

LEAKAGE_TEXT = {
    "none": "No leakage correction was applied.",
    "bsw": (
        "Leakage was corrected with the unidirectional model of Boxerman, Schmainda and Weisskoff "
        "(CAPLEX M.LC1.001)"
    ),
    "bidirectional": "Leakage was corrected with the bidirectional model of Leu (CAPLEX M.LC1.002)",
    "auto": (
        "Leakage was corrected in each voxel with the unidirectional (CAPLEX M.LC1.001) or the "
        "bidirectional model (CAPLEX M.LC1.002), whichever had the lower AICc"
    ),
}
DECONVOLUTION_TEXT = {
    "osvd": "block-circulant SVD with an oscillation limit (oSVD, OI < {oscillation:g})",
    "csvd": "block-circulant SVD (cSVD, threshold 0.1)",
    "ssvd": "standard SVD (sSVD, threshold 0.2)",
}


def protocol_notes(settings):
    """Warnings that follow from flip angle, echo time and preload.

    Sources: Boxerman 2020 (doi 10.1093/neuonc/noaa141), Kaufmann 2020 (doi 10.1093/neuonc/noaa030),
    Lee 2019 for PSR.

    Parameters
    ----------
    settings : dsc.DscSettings

    Returns
    -------
    list of str
    """
    if settings.input != "signal":
        return []
    notes = []
    flip, preload, dual = settings.flip_deg, settings.preload, settings.te2_ms is not None
    if preload == "unknown":
        notes.append(
            "Preload unknown: the bias of rCBV by leakage and the meaning of PSR depend on it; say whether "
            "a preload dose was given."
        )
    if flip is None:
        notes.append("Flip angle unknown: PSR and the size of T1 leakage effects cannot be judged.")
    elif preload == "no" and flip > 45 and not dual:
        notes.append(
            f"Flip angle {flip:g} deg without preload: T1 leakage biases rCBV even after correction; "
            "PSR is usable (Boxerman 2020 recommends 30 deg without preload, or 60 deg with a full "
            "preload dose)."
        )
    elif preload == "yes" and flip <= 45:
        notes.append(
            f"Flip angle {flip:g} deg with preload: T2* leakage effects prevail; PSR is not comparable with "
            "protocols without preload."
        )
    elif preload == "yes":
        notes.append(
            "With preload, PSR is not comparable with published cut-offs of protocols without preload."
        )
    te = settings.te_ms
    if te is not None and not dual and not 18 <= te <= 55:
        notes.append(
            f"Echo time {te:g} ms lies outside 20-35 ms (3 T) and 40-50 ms (1.5 T) of "
            "Boxerman 2020; is it in ms?"
        )
    return notes


def methods_text(settings, facts):
    """A paragraph for the methods section of a paper, from the settings that were used.

    Parameters
    ----------
    settings : dsc.DscSettings
    facts : dict
        ``frames``, ``dt_s``, ``baseline`` (text), ``reference_voxels``, ``aif`` (text), ``nawm`` (text),
        ``motion`` (text), ``psr`` (text).

    Returns
    -------
    str
    """
    parts = [_curves_text(settings, facts), facts["motion"]]
    leakage = LEAKAGE_TEXT[settings.leakage]
    if settings.leakage != "none":
        leakage += (
            f"; the reference was the mean curve of {facts['reference_voxels']} voxels of "
            "non-enhancing brain. K2 (Q.LC1.002, 1/s) is positive where T1 effects "
            "prevail and negative where T2* effects prevail."
        )
    parts.append(leakage)
    parts.append(
        "Relative cerebral blood volume (rCBV) is the trapezoid integral of the corrected curve from bolus "
        "arrival to the end of the series; nRCBV is its ratio to the median of "
        f"{facts['nawm']}; sRCBV is its value on a standard scale set by histogram landmarks of normal brain."
    )
    if settings.deconvolution != "none" and facts["aif"]:
        method = DECONVOLUTION_TEXT[settings.deconvolution].format(oscillation=settings.oscillation)
        parts.append(
            f"With the arterial input function ({facts['aif']}), residue functions were found by {method} "
            f"without clipping; CBF used kH = {settings.kh:g} and a density of "
            f"{settings.density_g_ml:g} g/mL, MTT = CBV/CBF. Tmax is "
            "the time of the maximum of the residue function and may be negative. "
            "CBF from truncated SVD is biased low and is to be read as relative."
        )
    parts.append(
        f"Percentage of signal recovery (PSR) was read {facts['psr']} from the uncorrected signal; "
        "peak height (PH) is the maximum of dR2* in the first pass."
    )
    parts.append(_protocol_text(settings))
    return " ".join(part for part in parts if part)


def _curves_text(settings, facts):
    series = (
        f"The dynamic susceptibility contrast series ({facts['frames']} frames, {facts['dt_s']:.3g} s each)"
    )
    if settings.input == "signal" and settings.te2_ms is not None:
        how = (
            f"was converted to dR2* (CAPLEX Q.EL1.009) from two echoes (TE {settings.te_ms:g} and "
            f"{settings.te2_ms:g} ms), which removes T1 effects,"
        )
    elif settings.input == "signal":
        how = f"was converted to dR2* = -ln(S/S0)/TE (CAPLEX Q.EL1.009) with TE {settings.te_ms:g} ms,"
    else:
        how = f"was given as {'dR2*' if settings.input == 'dr2s' else 'concentration'}"
        return f"{series} {how}; the baseline was {facts['baseline']}."
    return f"{series} {how} S0 being the mean of {facts['baseline']}."


def _protocol_text(settings):
    facts = []
    if settings.flip_deg is not None:
        facts.append(f"flip angle {settings.flip_deg:g} deg")
    if settings.te_ms is not None:
        facts.append(f"TE {settings.te_ms:g} ms")
    if settings.tr_ms is not None:
        facts.append(f"TR {settings.tr_ms:g} ms")
    facts.append(f"preload: {settings.preload}")
    return f"Protocol: {', '.join(facts)}."


def summarise(run, flags, valid, maps):
    """Summary numbers of a run, ready for JSON."""
    facts, bolus = run.nawm_facts, run.bolus
    summary = {
        "brain_ml": round(float(run.brain.sum()) * run.geometry.voxel_ml, 2),
        "usable_fraction": round(float(valid.sum() / max(run.brain.sum(), 1)), 4),
        "flag_bits": dict(dsc_masks.FLAGS),
        "flagged_voxels": {k: int(((flags & bit) > 0).sum()) for k, bit in dsc_masks.FLAGS.items()},
        "skipped_frames": bolus.skip,
        "baseline_frames": [bolus.baseline.start, bolus.baseline.stop],
        "bolus_arrival_s": round(float(run.times[bolus.arrival]), 3),
        "bolus_peak_s": round(float(run.times[bolus.peak]), 3),
        "reference_voxels": int(run.sorted.normal.sum()),
        "rcbv_scale": run.scale,
        "kh": run.settings.kh,
        "density_g_ml": run.settings.density_g_ml,
        "nawm_source": facts.source,
        "nawm_voxels": facts.n_voxels,
        "nawm_ml": round(facts.volume_ml, 3),
        "nawm_rcbv_median": facts.median,
        "nawm_cv": facts.cv,
        "nawm_left_right_ratio": facts.left_right_ratio,
        "midplane_similarity": round(run.plane.similarity, 3),
        "standard_landmarks": run.landmarks,
    }
    if "leakage_model" in maps:
        chosen = maps["leakage_model"][run.brain]
        summary["bidirectional_fraction"] = float(np.mean(chosen[np.isfinite(chosen)] == 2))
    if run.aif is not None:
        summary["aif_source"] = run.aif.source
        summary["aif_quality"] = round(run.aif.quality, 3)
        summary["aif_criteria"] = {k: round(float(v[0]), 4) for k, v in run.aif.criteria.items()}
    return {**summary, **run.motion_summary}


def facts_of(run):
    """Facts of a run for :func:`methods_text`."""
    base = run.bolus.baseline
    if run.recovery is None:
        psr = "nowhere (the series is too short)"
    else:
        after = run.times[[run.recovery.start, run.recovery.stop - 1]] - run.times[run.bolus.peak]
        psr = f"{after[0]:.0f} to {after[1]:.0f} s after the bolus peak"
    return {
        "frames": len(run.times),
        "dt_s": float(np.median(np.diff(run.times))),
        "baseline": f"frames {base.start} to {base.stop - 1} (counted from 0)",
        "reference_voxels": int(run.sorted.normal.sum()),
        "aif": None if run.aif is None else run.aif.source,
        "nawm": run.nawm_facts.source,
        "motion": run.motion_text,
        "psr": psr,
    }
