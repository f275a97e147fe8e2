"""A paragraph for the methods section, made from the settings that were really used."""

_FUNCTION_CODES = {"parker": "M.IC2.001", "georgiou": "M.IC2.002", "weinmann": "M.IC2.003"}
_MODEL_WORDS = {
    "tofts": "the Tofts model (CAPLEX M.IC1.004)",
    "etofts": "the extended Tofts model (CAPLEX M.IC1.005)",
    "patlak": "the Patlak model (CAPLEX M.IC1.006)",
    "2cxm": "the two-compartment exchange model (CAPLEX M.IC1.009)",
    "auto": "the model with the smallest corrected Akaike criterion for each voxel, out of no enhancement, "
    "plasma volume only, Patlak{} extended Tofts{}",
}


def describe_dce(settings, source, baseline, has_map, models=()):
    """Methods text of a DCE analysis.

    Parameters
    ----------
    settings : DceSettings
    source : InputFunction
    baseline : (int, int)
    has_map : bool
        A T1 map was given.
    models : list of str
        Candidates of the automatic choice.

    Returns
    -------
    str
    """
    from BMVascularCore import __version__

    parts = [f"DCE-MRI was analysed with BMVascular {__version__} (research use)."]
    parts.append(_concentration_words(settings, baseline, has_map))
    parts.append(_input_words(settings, source))
    if settings.concentration or has_map or settings.t10_s is not None:
        parts.append(_fit_words(settings, "2cxm" in models))
    else:
        parts.append(
            "Without T1 no concentration was computed; the steepest relative rise of the signal over three "
            "frames was divided by that of the input function."
        )
    return " ".join(parts)


def _concentration_words(settings, baseline, has_map):
    if settings.concentration:
        return "The series was given as concentration (mM)."
    if not has_map and settings.t10_s is None:
        return f"Baseline was the mean of frames {baseline[0]} to {baseline[1] - 1}."
    t10 = "a T1 map" if has_map else f"an assumed T1 of {settings.t10_s:g} s"
    decay = "T2* effects were neglected"
    if settings.te_s and settings.r2s_relaxivity:
        decay = (
            f"T2* decay was included (TE {settings.te_s * 1000:g} ms, r2* {settings.r2s_relaxivity:g} /s/mM)"
        )
    return (
        "Signal was converted to concentration with the spoiled gradient echo equation (CAPLEX M.SM2.002; "
        f"TR {settings.tr_s * 1000:g} ms, flip angle {settings.flip_deg:g} degrees), {t10}, longitudinal "
        f"relaxivity {settings.relaxivity:g} /s/mM, and frames {baseline[0]} to {baseline[1] - 1} as "
        f"baseline; {decay} and voxels outside the range of the equation were excluded."
    )


def _input_words(settings, source):
    text = f"Input function: {source.name}"
    if settings.population_aif in _FUNCTION_CODES and source.name.startswith("population"):
        text += f" (CAPLEX {_FUNCTION_CODES[settings.population_aif]})"
    if source.quality:
        text += f" ({source.quality['voxels']} voxels, quality {source.quality['score']:.2f} of 1)"
    if not (settings.aif_is_plasma and source.name.startswith("given")):
        text += f"; whole blood was turned into plasma with a hematocrit of {settings.hematocrit:g}"
    return text + "."


def _fit_words(settings, exchange):
    words = _MODEL_WORDS[settings.model]
    if settings.model == "auto":
        words = words.format(*((",", " and two-compartment exchange") if exchange else (" and", "")))
    text = (
        "Kinetic parameters (Ktrans, CAPLEX Q.PH1.008; ve and vp, Q.PH1.001) were fitted with "
        f"{words} by bounded non-linear least squares (variable projection), the "
        "plasma curve taken as piecewise linear and its convolution computed exactly at the frame times; "
        "bounds 0 <= Ktrans <= 5 /min, 0 <= ve <= 1, 0 <= vp <= 1"
    )
    if settings.model == "2cxm" or (settings.model == "auto" and exchange):
        text += " and 0 < Fp <= 500 mL/100 mL/min (plasma flow, Q.PH1.002)"
    if settings.model in ("patlak", "2cxm"):
        text = text.replace("vp, Q.PH1.001)", "vp, Q.PH1.001; PS, Q.PH1.004)")
    if settings.fit_delay:
        low, high = settings.delay_range_s
        text += f"; the arrival delay of each voxel (Q.PH1.007) was fitted between {low:g} and {high:g} s"
    else:
        text += "; no arrival delay was fitted"
    return text + ". Standard errors are from the Jacobian at the solution."
