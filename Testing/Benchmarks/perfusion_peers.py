"""Other open perfusion codes behind one face, for the benchmarks; each is left out where it is not installed.

    pip install osipy dcmri QbiPy        (osipy needs Python 3.12)

Every function takes curves (v, t) and returns what the peer found; conversion of data and units stays outside
the measured time where the peer allows it.
"""

import importlib
import io
import logging
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout

import numpy as np

TR_S, FLIP_DEG, T10_S, RELAXIVITY, HEMATOCRIT = 0.005, 15.0, 1.4, 4.5, 0.42


def find(name):
    """The module of a peer, or None."""
    try:
        return importlib.import_module(name)
    except (ImportError, SyntaxError):
        return None


def missing():
    """Sentence about the peers that are not here, or an empty text."""
    absent = [label for label, name in PEERS.items() if find(name) is None]
    return f"Not installed here, so left out: {', '.join(absent)}." if absent else ""


PEERS = {"osipy": "osipy.dce", "dcmri": "dcmri", "QbiPy": "QbiPy.dce_models.tofts_model"}


def timed(work):
    """CPU seconds and the result; the peers' own messages are swallowed."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        begin = time.process_time()
        result = work()
        seconds = time.process_time() - begin
    logging.disable(logging.NOTSET)
    return seconds, result


def osipy_fit(model, curves, plasma, times_s, delay=False):
    """osipy's vectorised Levenberg-Marquardt; None where absent."""
    if find("osipy.dce") is None:
        return None
    from osipy.dce.fitting import fit_model

    names = {"etofts": "extended_tofts", "tofts": "tofts", "patlak": "patlak", "2cxm": "2cxm"}
    cube = curves[:, None, None, :]
    seconds, result = timed(lambda: fit_model(names[model], cube, plasma, times_s, fit_delay=delay))
    maps = {name: np.asarray(image.values).ravel() for name, image in result.parameter_maps.items()}
    fit = {}
    for ours, theirs in (("ktrans", "Ktrans"), ("ps", "PS"), ("vp", "vp"), ("ve", "ve"), ("fp", "Fp")):
        if theirs in maps:
            fit[ours] = maps[theirs]
    if model == "2cxm":
        # it counts PS like Fp, per 100 mL of tissue
        fit["ps"] = fit["ps"] / 100
    if model == "patlak" and "ktrans" not in fit:
        fit["ktrans"] = fit["ps"]
    return seconds, fit


def qbipy_fit(model, curves, plasma, times_s):
    """QbiPy's linear least squares voxel by voxel (extended Tofts only); None where absent."""
    if find("QbiPy.dce_models.tofts_model") is None or model != "etofts":
        return None
    from QbiPy.dce_models import dce_aif, tofts_model

    aif = dce_aif.Aif(times=times_s / 60, base_aif=plasma, aif_type=dce_aif.AifType.ARRAY, hct=0.0)
    seconds, rows = timed(lambda: [tofts_model.solve_LLS(curve, aif, 0) for curve in curves])
    found = np.array(rows, float)
    return seconds, {"ktrans": found[:, 0], "ve": found[:, 1], "vp": found[:, 2]}


def dcmri_fit(model, curves, plasma, times_s):
    """dcmri's signal-domain fit of each voxel (high-flow tissue = extended Tofts, or 2CX)."""
    dcmri = find("dcmri")
    kinetics = {"etofts": "HF", "2cxm": "2CX"}.get(model)
    if dcmri is None or kinetics is None:
        return None
    e1 = np.exp(-TR_S * (1 / T10_S + RELAXIVITY * curves))
    signals = 1000 * np.sin(np.radians(FLIP_DEG)) * (1 - e1) / (1 - np.cos(np.radians(FLIP_DEG)) * e1)
    blood = plasma * (1 - HEMATOCRIT)

    def fit_one(signal):
        tissue = dcmri.Tissue(
            kinetics=kinetics,
            water_exchange="FF",
            sequence="SS",
            ca=blood / 1000,
            t=times_s,
            H=HEMATOCRIT,
            r1=RELAXIVITY * 1000,
            TR=TR_S,
            FA=FLIP_DEG,
            R10=1 / T10_S,
            n0=5,
        )
        tissue.train(times_s, signal)
        return tissue.params("PS", "vb", "vi", *(["Fb"] if kinetics == "2CX" else []))

    seconds, rows = timed(lambda: [fit_one(signal) for signal in signals])
    found = np.array(rows, float)
    fit = {"ps": 60 * found[:, 0], "vp": found[:, 1] * (1 - HEMATOCRIT), "ve": found[:, 2]}
    fit["ktrans"] = fit["ps"]
    return seconds, fit


def osipy_deconvolution(method, curves, aif, times_s):
    """Residue heights (1/s) of osipy's deconvolution; None where absent."""
    if find("osipy.dsc") is None:
        return None
    from osipy.dsc import get_deconvolver

    solver = get_deconvolver({"osvd": "oSVD", "csvd": "cSVD"}[method])
    seconds, result = timed(lambda: solver.deconvolve(curves, aif, times_s))
    return seconds, np.asarray(result.cbf).ravel()


def osipy_leakage(method, curves, aif, times_s, reference):
    """Corrected dR2* (v, t) of osipy; None where absent."""
    if find("osipy.dsc") is None:
        return None
    from osipy.dsc import LeakageCorrectionParams, correct_leakage

    params = LeakageCorrectionParams(
        method=method, reference_tissue="custom", custom_reference_mask=reference
    )
    seconds, result = timed(lambda: correct_leakage(curves, aif, times_s, params=params))
    return seconds, np.asarray(result.corrected_delta_r2)


def osipy_t1(signals, flips_deg, tr_s, method):
    """T1 in seconds by osipy; None where absent."""
    if find("osipy.dce") is None:
        return None
    from osipy.dce import compute_t1_vfa

    # an image of one slice; flip angle last
    cube = np.moveaxis(signals.reshape(len(flips_deg), -1, 100, 1), 0, -1)
    seconds, result = timed(
        lambda: compute_t1_vfa(signal=cube, flip_angles=list(flips_deg), tr=1000 * tr_s, method=method)
    )
    return seconds, np.asarray(result.t1_map.values).ravel() / 1000


def dcmri_deconvolution(curves, aif, dt_s):
    """Residue heights of dcmri's truncated SVD; None where absent."""
    dcmri = find("dcmri")
    if dcmri is None:
        return None
    seconds, residues = timed(lambda: dcmri.deconv(curves.T, aif, dt=dt_s, tol=0.1))
    return seconds, np.max(residues, axis=0)
