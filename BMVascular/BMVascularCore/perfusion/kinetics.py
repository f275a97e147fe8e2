"""Kinetic models applied to blocks of concentration curves."""

import numpy as np

from BMVascularCore.perfusion import nonlinear, separable
from BMVascularCore.perfusion.chunks import by_blocks
from BMVascularCore.perfusion.convolution import PlasmaCurve
from BMVascularCore.perfusion.dce_settings import MODEL_INDEX, N_PARAMETERS, candidates
from BMVascularCore.perfusion.nonlinear import CurveModel
from BMVascularCore.perfusion.selection import choose

_DELAY_STEP_MIN = 1.0 / 60.0
_MODEL_NAMES = {index: name for name, index in MODEL_INDEX.items()}


class KineticFitter:
    """Fits one model, or the best of several, to any number of curves.

    Parameters
    ----------
    aif_times_s, aif_plasma_mM : array_like
        Plasma curve on its own times.
    times_s : array_like, shape (t,)
        Frame times on the same clock.
    model : str
        One of ``MODELS``.
    fit_delay : bool
    delay_range_s : (float, float)
    """

    def __init__(
        self, aif_times_s, aif_plasma_mM, times_s, model, fit_delay=False, delay_range_s=(-3.0, 10.0)
    ):
        self.times_min = np.asarray(times_s, float) / 60.0
        self.curve = PlasmaCurve(np.asarray(aif_times_s, float) / 60.0, aif_plasma_mM)
        self.model = model
        self.plasma = self.curve.value(self.times_min)
        self.area = self.curve.integral(self.times_min)
        self.delays_min = np.asarray(delay_range_s, float) / 60.0 if fit_delay else None
        self._table = self._grids = None

    def table(self):
        """Shared table of model curves, made when first needed."""
        if self._table is None:
            self._table = separable.build_table(self.curve, self.times_min)
        return self._table

    def fit(self, curves, progress=None):
        """Fit curves.

        Parameters
        ----------
        curves : ndarray, shape (v, t)
            mM, finite.
        progress : callable, optional
            Called with a fraction.

        Returns
        -------
        dict of ndarray, shape (v,)
            Fitted parameters (rates per minute, delay in seconds), ``se_*``, ``rss``, ``model``,
            ``bound``.
        """
        return by_blocks(self._fit_block, curves, progress)

    def curve_of(self, fit, number=0):
        """Model curve of one fitted voxel.

        Parameters
        ----------
        fit : dict of ndarray
            As :meth:`fit` gives it.
        number : int
            Which of its voxels.

        Returns
        -------
        ndarray, shape (t,)
            mM.
        """
        values = {key: float(value[number]) for key, value in fit.items()}
        name = _MODEL_NAMES[int(values["model"])]
        if name == "none":
            return np.zeros(len(self.times_min))
        if name == "vp" or (name == "etofts" and not np.isfinite(values["kep"])):
            return values["vp"] * self.plasma
        model = CurveModel(name, self.curve, self.times_min, self.delays_min)
        scale = {"fp": 0.01, "delay": 1.0 / 60.0}
        theta = [values[key] * scale.get(key, 1.0) for key in model.names]
        return model.evaluate(np.array([theta]))[0][0]

    def _fit_block(self, curves):
        if self.model == "auto":
            return self._fit_auto(curves)
        fit = self._fit_model(self.model, curves)
        fit["model"] = np.full(len(curves), float(MODEL_INDEX[self.model]))
        return fit

    def _fit_model(self, name, curves):
        if name == "none":
            return {"rss": np.einsum("vt,vt->v", curves, curves), "bound": np.zeros(len(curves), bool)}
        if name == "vp":
            return separable.fit_plasma_block(self.plasma, curves)
        if self.delays_min is not None or name == "2cxm":
            return self._fit_nonlinear(name, curves)
        if name == "patlak":
            return _with_ps(separable.fit_patlak_block(self.plasma, self.area, curves))
        return separable.fit_block(self.table(), curves, with_plasma=name == "etofts")

    def _fit_nonlinear(self, name, curves):
        table = self.table() if self.delays_min is None else None
        model = CurveModel(name, self.curve, self.times_min, self.delays_min, table)
        if self._grids is None:
            self._grids = [nonlinear.table_grid(table)] if table is not None else self._delay_grids()
        return nonlinear.fit_block(model, self._grids, curves)

    def _delay_grids(self):
        low, high = self.delays_min
        delays = np.linspace(low, high, 1 + int(np.ceil((high - low) / _DELAY_STEP_MIN - 1e-9)))
        return nonlinear.rate_grids(self.curve, self.times_min, delays)

    def _fit_auto(self, curves):
        """Fit the nested candidates and keep the one with the smallest AICc."""
        names = candidates(60.0 * self.times_min, self.delays_min is not None)
        fits = {name: self._fit_model(name, curves) for name in names}
        # an absent pathway is zero by the chosen model; rates that it does not define stay NaN
        zero = np.zeros(len(curves))
        fits["none"].update(ktrans=zero, vp=zero)
        fits["vp"].update(ktrans=zero)
        residuals = {name: fit["rss"] for name, fit in fits.items()}
        residuals["etofts"] = np.where(self._told_from_plasma(fits["etofts"]), residuals["etofts"], np.inf)
        if "2cxm" in fits:
            # where it fell back to uptake only, the simpler models say the same with a washout
            whole = np.isfinite(fits["2cxm"]["ve"])
            residuals["2cxm"] = np.where(whole & ~fits["2cxm"]["bound"], residuals["2cxm"], np.inf)
        # a fitted delay is a parameter, too; the plasma curve alone is taken as it is
        late = 0 if self.delays_min is None else 1
        numbers = {name: N_PARAMETERS[name] + late * (name in ("patlak", "etofts")) for name in fits}
        best = choose(residuals, curves.shape[1], numbers)
        result = {}
        for key in sorted({key for fit in fits.values() for key in fit} - {"ps", "se_ps"}):
            blank = np.zeros(len(curves), bool) if key == "bound" else np.full(len(curves), np.nan)
            result[key] = np.choose(best, [fit.get(key, blank) for fit in fits.values()])
        result["model"] = np.array([MODEL_INDEX[name] for name in fits], float)[best]
        return result

    def _told_from_plasma(self, fit):
        """Where the washout of an extended Tofts fit is slow enough for the frames to show it.

        A compartment that empties within two frames follows the plasma curve: its Ktrans only mends
        the shape of the bolus (dispersion, arrival) and grows without bound in noise.
        """
        frame_min = float(np.median(np.diff(self.times_min)))
        return ~(fit["kep"] * 2.0 * frame_min > 1.0)


def _with_ps(fit):
    """Patlak's slope is the permeability-surface product where flow does not limit it."""
    fit["ps"], fit["se_ps"] = fit["ktrans"], fit["se_ktrans"]
    return fit
