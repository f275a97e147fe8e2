"""Why a default is the default, said for the series at hand."""

from BMVascularCore.perfusion.dsc_report import protocol_notes


def dscAdvice(settings):
    """Reasons for leakage correction and deconvolution of a DSC series, and what its protocol means.

    Parameters
    ----------
    settings : BMVascularCore.perfusion.dsc.DscSettings

    Returns
    -------
    str
    """
    leakage = {
        "auto": "Leakage: for each voxel the one- or the two-way model, whichever has the lower AICc; enhancing "
        "metastases mostly need the two-way model (Leu 2016), normal brain the simpler one.",
        "bsw": "Leakage: one-way model (Boxerman 2006) everywhere; it takes no back-flow into account.",
        "bidirectional": "Leakage: two-way model (Leu 2016) everywhere, also where the data do not ask for it.",
        "none": "No leakage correction: rCBV of enhancing lesions is biased.",
    }[settings.leakage]
    flow = {
        "osvd": "Flow: oSVD does not depend on the arrival delay and limits oscillation.",
        "csvd": "Flow: cSVD does not depend on the arrival delay.",
        "ssvd": "Flow: sSVD depends on the arrival delay; prefer oSVD.",
        "none": "No flow maps: CBF, MTT and Tmax are left out.",
    }[settings.deconvolution]
    return "\n".join([leakage, flow, *protocol_notes(settings)])


def dceAdvice(model, times_s, t1, fitDelay):
    """Reasons for the model of a DCE series.

    Parameters
    ----------
    model : str
        As in ``DceSettings``.
    times_s : ndarray or None
        Frame times, where known.
    t1 : {"vfa", "fixed", "none"}
    fitDelay : bool

    Returns
    -------
    str
    """
    lines = [
        {
            "auto": "Model: for each voxel the simplest of no uptake, plasma only, Patlak and extended Tofts that "
            "AICc asks for: Patlak alone is too low in metastases, extended Tofts alone too high in intact brain.",
            "etofts": "Model: extended Tofts suits leaky metastases; Ktrans of intact brain is overestimated.",
            "tofts": "Model: Tofts ignores blood plasma; Ktrans of vascular lesions is overestimated.",
            "patlak": "Model: Patlak suits intact brain; Ktrans of metastases is underestimated.",
            "2cxm": "Model: two-compartment exchange needs frames of 2 s or less for plasma flow.",
        }[model]
    ]
    if times_s is not None and len(times_s) > 1:
        step = float((times_s[1:] - times_s[:-1]).mean())
        minutes = float(times_s[-1]) / 60.0
        lines.append(f"This series: {minutes:.1f} min, a frame every {step:.3g} s.")
        if model == "2cxm" and step > 2.0:
            lines.append("These frames are too slow for plasma flow.")
    lines.append(
        {
            "vfa": "T1: measured with variable flip angles, voxel by voxel.",
            "fixed": "T1: one value for all voxels; Ktrans and vp are only relative.",
            "none": "T1: none; only the wash-in slope relative to the sinus is computed.",
        }[t1]
    )
    lines.append(
        "Delay: fitted for each voxel, because a late bolus otherwise looks like permeability."
        if fitDelay
        else "Delay: not fitted (quicker); where the bolus comes late, Ktrans is not to be trusted."
    )
    return "\n".join(lines)
