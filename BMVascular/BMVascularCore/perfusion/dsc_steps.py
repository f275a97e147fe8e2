"""The steps of a DSC run, in order: brain and bolus, first pass, normal brain, AIF, fits, normalisation."""

from dataclasses import fields

import numpy as np

from BMVascularCore.errors import InputError
from BMVascularCore.perfusion import aif_dsc, dsc_masks, dsc_report, normalisation
from BMVascularCore.perfusion.brainmask import brain_mask, tissue_threshold
from BMVascularCore.perfusion.curves import CurveSource, blocks_of
from BMVascularCore.perfusion.deconvolution import Deconvolver, even_times, resample_even
from BMVascularCore.perfusion.dsc_settings import checked_settings
from BMVascularCore.perfusion.leakage import LeakageModel
from BMVascularCore.perfusion.motion import correct_motion
from BMVascularCore.perfusion.recovery import FirstPass, FirstPassReader
from BMVascularCore.perfusion.relaxation import find_bolus, trapezoid_weights
from BMVascularCore.progress import share_of
from BMVascularCore.volume import Volume, require_same_grid


class DscRun:
    """The steps of one run, with what they share; made and read by :func:`dsc.run_dsc`."""

    def __init__(self, series, settings, mask, exclude, nawm, second, progress):
        self.settings = checked_settings(settings, series, second)
        self.series, self.second, self.progress = series, second, progress
        self.times, self.shape, self.geometry = series.times_s, series.array.shape[1:], series.geometry
        self.brain = self._mask(mask, "mask")
        self.exclude = self._mask(exclude, "exclude mask", empty_is_wrong=False)
        self.given_nawm = self._mask(nawm, "NAWM mask")
        self.warnings = [*series.meta.get("warnings", ()), *dsc_report.protocol_notes(self.settings)]

    def _mask(self, mask, what, empty_is_wrong=True):
        if mask is None:
            return None
        if isinstance(mask, Volume):
            require_same_grid(mask.geometry, self.geometry, what, self.series.name)
            mask = mask.array
        mask = np.nan_to_num(np.asarray(mask)) != 0
        if mask.shape != self.shape:
            raise InputError(
                f"has shape {mask.shape}, the series {self.shape}", what, "Resample it to the series."
            )
        if empty_is_wrong and not mask.any():
            raise InputError("is empty", what, "Draw it again, or leave it out.")
        return mask

    def go(self, aif):
        """Run all steps."""
        self.prepare(aif)
        maps = self._fit(share_of(self.progress, 0.5, 0.9))
        self.progress(0.9, "Normalising")
        self._normalise(maps)
        self._warn_dominating()
        self.progress(1.0, "Done")
        return maps

    def prepare(self, aif):
        """Everything that is shared by all voxels: brain, bolus, flags, reference curve, AIF."""
        self.progress(0.0, "Reading the baseline")
        self.source = self._source()
        self._find_brain_and_bolus()
        self._read_first_pass(share_of(self.progress, 0.1, 0.35))
        self._mean_reference(share_of(self.progress, 0.35, 0.45))
        self.aif = self.find_aif(aif)

    def leakage_model(self):
        """The leakage model on the reference curve, None without correction."""
        settings = self.settings
        if settings.leakage == "none":
            return None
        return LeakageModel(self.reference, self.times, settings.leakage, self.bolus.skip, self.window)

    def _source(self):
        settings, second = self.settings, self.second
        arrays = [(self.series.array, settings.te_ms)]
        if second is not None:
            arrays.append((second.array, settings.te2_ms))
            arrays.sort(key=lambda pair: pair[1])
        te = [None if value is None else value / 1000.0 for _, value in arrays]
        more = {"second": arrays[1][0], "te2_s": te[1]} if second is not None else {}
        return CurveSource(arrays[0][0], settings.input, te[0], **more)

    def _find_brain_and_bolus(self):
        """Bolus from all bright voxels first, then brain, then the bolus of the brain."""
        settings, given = self.settings, self.brain
        self.motion_text, self.motion_summary = "", {}
        rough = self._frame_mean(slice(0, None)) if given is None else None
        inside = given if given is not None else _bright(rough)
        bolus = self._bolus_of(inside)
        if given is None:
            bolus = self._mask_brain(bolus)
        # maps of dR2* or concentration have no anatomy before the bolus to register by
        if settings.motion != "off" and settings.input == "signal":
            moved = correct_motion(
                self.series, self.brain, bolus, settings.motion, self.second, self.progress
            )
            self.motion_text, self.motion_summary = moved.text, moved.summary
            self.warnings += moved.warnings
            if moved.corrected:
                self.series, self.second = moved.series, moved.second
                self.source = self._source()
                bolus = self._bolus_of(self.brain)
        self.bolus, self.source.baseline = bolus, bolus.baseline
        if bolus.cut_off:
            self.warnings.append(
                "The series ends while the bolus is passing: rCBV is too low, PSR is not measurable."
            )
        if bolus.baseline.stop - bolus.baseline.start < 3:
            self.warnings.append(
                f"The baseline has {bolus.baseline.stop - bolus.baseline.start} frame(s): its noise is "
                "not known well, flags and S0 are uncertain."
            )

    def _mask_brain(self, bolus):
        baseline = self._frame_mean(bolus.baseline) if self.settings.input == "signal" else None
        if baseline is None:
            self.brain = np.isfinite(self.series.array).all(axis=0) & (np.ptp(self.series.array, axis=0) > 0)
            return bolus
        drop = baseline - self._frame_mean(slice(max(bolus.peak - 1, 0), bolus.peak + 2))
        self.brain = brain_mask(baseline, self.geometry, drop > 0.05 * baseline)
        if not self.brain.any():
            raise InputError("no brain found in the baseline image", self.series.name, "Give a --mask.")
        return self._bolus_of(self.brain)

    def _frame_mean(self, frames):
        total = np.zeros(self.shape, np.float64)
        chosen = range(len(self.times))[frames]
        for t in chosen:
            total += self.series.array[t]
        return total / len(chosen)

    def _bolus_of(self, inside):
        """Bolus from the mean curve of the voxels inside."""
        array = self.source_array()
        voxels = np.flatnonzero(inside)
        curve = np.empty(len(self.times))
        for t in range(len(curve)):
            frame = array[t].ravel()[voxels]
            finite = np.isfinite(frame)
            curve[t] = frame[finite].mean() if finite.any() else np.nan
        if self.settings.input == "signal":
            if not (curve > 0).all():
                raise InputError(
                    f"the mean signal of the brain is not positive at frame {int(np.argmin(curve > 0))}",
                    self.series.name,
                    "Give raw signal, or name the kind of input with --input.",
                )
            curve = -np.log(curve)
        return find_bolus(curve, self.times, self.settings.skip, self.settings.baseline, self.series.name)

    def source_array(self):
        """The echo whose signal falls most with the bolus: the later one."""
        if self.second is not None and self.settings.te2_ms > self.settings.te_ms:
            return self.second.array
        return self.series.array

    def _read_first_pass(self, progress):
        self.window = (self.bolus.start, len(self.times))
        reader = FirstPassReader(self.bolus, self.times, self.window, self.settings.input == "signal")
        self.recovery_note = reader.recovery_note
        self.recovery = reader.recovery
        if reader.recovery_note and self.settings.input == "signal":
            self.warnings.append(reader.recovery_note)
        voxels = np.flatnonzero(self.brain)
        # filled in place: joining parts would hold every number twice
        numbers = {}
        for block in blocks_of(len(voxels), self.settings.chunk_voxels, progress, "Reading the first pass"):
            chosen = voxels[block]
            raw = self.source.raw(chosen)
            part = reader.read(chosen, raw, self.source.of(chosen, raw))
            for name in (field.name for field in fields(FirstPass)):
                values = getattr(part, name)
                kind = np.float32 if values.dtype.kind == "f" else values.dtype
                numbers.setdefault(name, np.empty(len(voxels), kind))[block] = values
        self.first_pass = FirstPass(**numbers)
        self.sorted = dsc_masks.sort_voxels(
            self.first_pass, self.shape, self.geometry, self.exclude, self.settings.input == "signal"
        )

    def _mean_reference(self, progress):
        """Mean curves of the measurable brain and of normal brain."""
        voxels = self.first_pass.voxels
        flags = self.sorted.flags.ravel()[voxels]
        good = voxels[(flags & dsc_masks.NOT_MEASURABLE) == 0]
        normal = self.sorted.normal.ravel()[good]
        if not normal.any():
            raise InputError(
                "no normal brain is left as reference tissue", "--exclude", "Give a smaller exclusion mask."
            )
        total = np.zeros((2, len(self.times)))
        for block in blocks_of(len(good), self.settings.chunk_voxels, progress, "Averaging normal brain"):
            curves = self.source.of(good[block])
            total[0] += curves.sum(axis=1, dtype=np.float64)
            total[1] += curves[:, normal[block]].sum(axis=1, dtype=np.float64)
        self.mean_curve, self.reference = total[0] / len(good), total[1] / normal.sum()

    def find_aif(self, aif):
        """The judged input function: given as curve or voxels, else found; None where none is wanted or found."""
        if self.settings.deconvolution == "none" and aif is None:
            return None
        lowest = None
        if aif is None:
            found = self._automatic_aif()
            if found is None:
                return None
        elif isinstance(aif, tuple | list):
            found = aif_dsc.given_aif(*aif, self.times)
        else:
            voxels = np.flatnonzero(self._mask(aif, "AIF mask"))
            found = aif_dsc.mean_aif(self.source, voxels)
        if len(found.voxels) and self.settings.input == "signal":
            at = np.isin(self.first_pass.voxels, found.voxels)
            lowest = float(np.median(self.first_pass.lowest[at])) if at.any() else None
        found = aif_dsc.judge_aif(found, self.mean_curve, self.bolus, self.times, lowest)
        if found.curve.max() <= 0 or found.curve.sum() <= 0:
            raise InputError(
                "the arterial input function has no positive area", "AIF", "Choose other voxels."
            )
        self.warnings += found.warnings
        return found

    def _automatic_aif(self):
        flags = self.sorted.flags.ravel()[self.first_pass.voxels]
        bad = dsc_masks.NOT_MEASURABLE | dsc_masks.FLAGS["saturated"] | dsc_masks.FLAGS["enhancing"]
        usable = (flags & bad) == 0
        if self.exclude is not None:
            usable &= ~self.exclude.ravel()[self.first_pass.voxels]
        try:
            return aif_dsc.find_aif(
                self.source, np.flatnonzero(usable), self.first_pass, self.bolus, self.times
            )
        except InputError as error:
            # nRCBV, PSR and K2 need no AIF: the run goes on without flow
            self.warnings.append(f"No flow maps: {error.what}. rCBV is given without its arterial scale.")
            return None

    def _fit(self, progress):
        """Leakage correction and deconvolution, block by block."""
        settings, model = self.settings, self.leakage_model()
        flow = self._flow()
        voxels = self.first_pass.voxels
        measurable = (self.sorted.flags.ravel()[voxels] & dsc_masks.NOT_MEASURABLE) == 0
        where = np.flatnonzero(measurable)
        names = ["area"] + (["k1", "k2", "k2_cv", "leakage_model", "dominates"] if model else [])
        names += ["flow", "tmax"] if flow else []
        out = {name: np.full(len(voxels), np.nan, np.float32) for name in names}
        for block in blocks_of(len(where), settings.chunk_voxels, progress, "Fitting leakage and flow"):
            at = where[block]
            curves = self.source.of(voxels[at])
            area = self.first_pass.area[at].astype(np.float64)
            if model is not None:
                fit = model.fit(curves)
                out["k1"][at], out["k2"][at], out["k2_cv"][at] = fit.k1, fit.k2, fit.k2_cv
                out["leakage_model"][at], out["dominates"][at] = fit.model, fit.dominates
                area += fit.k2 * fit.area_per_k2
                if flow is not None:
                    curves = (curves + model.leakage_term(fit)).astype(self.source.dtype)
            out["area"][at] = area
            if flow is not None:
                self._measure_flow(flow, curves, out, at)
        return self._to_maps(out)

    def _flow(self):
        """Deconvolver on even frames from the last baseline frame on, or None."""
        if self.aif is None or self.settings.deconvolution == "none":
            return None
        dt, self.even = even_times(self.times)
        curve = self.aif.curve
        if not self.even:
            curve, dt = resample_even(curve, self.times)
            self.warnings.append(
                "Frames are uneven: curves were interpolated onto even frames for the deconvolution."
            )
        return Deconvolver(curve, dt, self.settings.deconvolution, oscillation=self.settings.oscillation)

    def _measure_flow(self, flow, curves, out, at):
        if not self.even:
            curves, _ = resample_even(curves, self.times)
        residue = flow.measure(np.ascontiguousarray(curves.T))
        out["flow"][at] = residue.height_per_s
        out["tmax"][at] = residue.tmax_s

    def _to_maps(self, out):
        """Scale to units and put the numbers into images."""
        first, settings = self.first_pass, self.settings
        scale = 1.0
        if self.aif is not None:
            scale = 100.0 * settings.kh / float(self._aif_area())
        flags = self.sorted.flags.ravel()[first.voxels]
        measurable = (flags & dsc_masks.NOT_MEASURABLE) == 0
        moving = measurable & ((flags & dsc_masks.FLAGS["no_bolus"]) == 0)
        values = {
            "rcbv": out["area"] * scale,
            "rcbv_uncorrected": np.where(measurable, first.area * scale, np.nan),
            "ttp": np.where(moving, first.peak_time_s - self.times[self.bolus.arrival], np.nan),
            "ph": np.where(measurable, first.peak, np.nan),
        }
        if settings.input == "signal":
            values["psr"] = np.where(moving, first.psr, np.nan)
        for name in ("k1", "k2", "k2_cv", "leakage_model"):
            if name in out:
                values[name] = out[name]
        if "flow" in out:
            cbf = 6000.0 * settings.kh / settings.density_g_ml * out["flow"]
            values["cbf"] = cbf
            with np.errstate(divide="ignore", invalid="ignore"):
                mtt = 60.0 * values["rcbv"] / settings.density_g_ml / cbf
            values["mtt"] = np.where(moving & (cbf > 0), mtt, np.nan)
            values["tmax"] = np.where(moving, out["tmax"], np.nan)
        if "dominates" in out:
            self.sorted.flags.ravel()[first.voxels[out["dominates"] == 1]] |= dsc_masks.FLAGS[
                "correction_dominates"
            ]
        self.scale = scale
        return {name: self._image(value) for name, value in values.items()}

    def _aif_area(self):
        """Area of the AIF over the same window as the tissue."""
        return trapezoid_weights(self.times, *self.window) @ self.aif.curve

    def _image(self, values):
        image = np.full(self.shape, np.nan, np.float32)
        image.ravel()[self.first_pass.voxels] = values
        return image

    def _normalise(self, maps):
        lesion = self.sorted.enhancing if self.exclude is None else self.exclude
        usable = (self.sorted.flags & dsc_masks.NOT_USABLE) == 0
        self.plane = normalisation.find_midplane(self._image(self.first_pass.s0), self.brain, self.geometry)
        if self.given_nawm is not None:
            inside = self.given_nawm & self.brain & usable
            if not inside.any():
                raise InputError(
                    "lies outside the brain or holds no usable voxel",
                    "NAWM mask",
                    "Draw it inside the brain.",
                )
            facts = normalisation.measure_nawm(
                maps["rcbv"], inside, "white matter marked by the user", self.geometry, self.plane
            )
        else:
            white = normalisation.white_matter(maps["rcbv"], self.sorted.normal, self.geometry)
            facts = normalisation.contralateral_white_matter(
                maps["rcbv"], white, lesion, self.plane, self.geometry
            )
        self.nawm_facts = facts
        self.warnings += facts.warnings
        maps["nrcbv"] = (maps["rcbv"] / facts.median).astype(np.float32)
        ph = maps["ph"][facts.mask]
        level = float(np.median(ph)) if len(ph) >= 10 else float("nan")
        maps["nph"] = (maps["ph"] / (level if level > 0 else np.nan)).astype(np.float32)
        maps["srcbv"], self.landmarks = normalisation.standardise(maps["rcbv"], self.sorted.normal)
        if not np.isfinite(maps["srcbv"]).any():
            self.warnings.append(
                "The histogram of normal brain is too small or too narrow: sRCBV is not measurable."
            )

    def _warn_dominating(self):
        flags = self.sorted.flags
        watched = self.sorted.enhancing if self.exclude is None else self.exclude
        watched = watched & self.brain
        dominating = (flags & dsc_masks.FLAGS["correction_dominates"]) > 0
        share = float(dominating[watched].mean()) if watched.any() else 0.0
        if share > 0.1:
            self.warnings.append(
                f"The leakage correction is larger than the blood-volume signal in {100 * share:.0f} % of "
                "the enhancing voxels: rCBV there rests on the correction and is not reliable."
            )


def _bright(image):
    image = np.where(np.isfinite(image), image, 0.0)
    bright = image > tissue_threshold(image)
    if not bright.any():
        raise InputError(
            "every voxel has the same signal", "the series", "Check that this is the DSC series."
        )
    return bright
