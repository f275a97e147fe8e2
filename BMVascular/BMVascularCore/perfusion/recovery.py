"""First-pass numbers of each voxel: peak height, time to peak, signal recovery, noise.

They need no arterial input and no leakage correction, and stay readable where rCBV is not. PSR depends
strongly on flip angle, echo time and preload (Lee 2019): the protocol is always printed beside it.
"""

from dataclasses import dataclass

import numpy as np

from BMVascularCore.perfusion.relaxation import trapezoid_weights

# seconds after the signal minimum that the recovered signal is read
RECOVERY_S = (45.0, 60.0)
_LATE_FRAMES = 10


@dataclass
class FirstPass:
    """First-pass numbers of n voxels; NaN where not measurable.

    Attributes
    ----------
    voxels : ndarray of int
        Flat voxel indices.
    s0 : ndarray
        Baseline signal (mean baseline curve for a series that is not raw signal).
    noise : ndarray
        Standard deviation of the curve over the baseline, 1/s.
    late : ndarray
        Mean of the curve over the last frames, 1/s.
    area : ndarray
        Trapezoid integral of the curve over the window, 1.
    peak : ndarray
        Peak height PH = max dR2*, 1/s.
    peak_time_s : ndarray
        Time of the peak from the first frame, by a parabola.
    psr : ndarray
        Percentage of signal recovery, %.
    tsnr : ndarray
        Baseline signal over its temporal noise; infinite for a series that is not signal.
    lowest : ndarray
        Lowest signal over its baseline noise (saturation check); infinite for a series that is not signal.
    finite, constant : ndarray of bool
    """

    voxels: np.ndarray
    s0: np.ndarray
    noise: np.ndarray
    late: np.ndarray
    area: np.ndarray
    peak: np.ndarray
    peak_time_s: np.ndarray
    psr: np.ndarray
    tsnr: np.ndarray
    lowest: np.ndarray
    finite: np.ndarray
    constant: np.ndarray


class FirstPassReader:
    """Reads the first-pass numbers of blocks of voxels.

    Parameters
    ----------
    bolus : relaxation.Bolus
    times_s : ndarray, shape (t,)
    window : (int, int)
        Integration window, frames [start, stop).
    raw_signal : bool
        The raw frames are signal (PSR can be read).
    """

    def __init__(self, bolus, times_s, window, raw_signal=True):
        self.bolus, self.times_s, self.raw_signal = bolus, np.asarray(times_s, dtype=float), raw_signal
        self.weights = trapezoid_weights(times_s, *window)
        dt = float(np.median(np.diff(times_s)))
        # tissue may lag behind the mean curve
        self.pass_stop = min(len(times_s), bolus.first_pass_end + 1 + int(np.ceil(6.0 / dt)))
        count = min(_LATE_FRAMES, max(3, (len(times_s) - bolus.peak) // 3))
        self.late = slice(len(times_s) - count, len(times_s))
        self.recovery, self.recovery_note = recovery_frames(self.times_s, bolus)

    def read(self, voxels, raw, curves):
        """First-pass numbers of a block.

        Parameters
        ----------
        voxels : ndarray of int, shape (n,)
        raw : ndarray, shape (t, n)
            Stored frames.
        curves : ndarray, shape (t, n)
            dR2* or concentration.

        Returns
        -------
        FirstPass
        """
        base, window = self.bolus.baseline, slice(self.bolus.start, self.pass_stop)
        s0 = raw[base].mean(axis=0, dtype=np.float64)
        freedom = 1 if base.stop - base.start > 1 else 0
        noise = (
            curves[base].std(axis=0, ddof=freedom, dtype=np.float64) if freedom else np.full(len(s0), np.nan)
        )
        peak, peak_time = self._peak(curves[window])
        psr, tsnr, lowest = self._recovery(raw, s0, window)
        return FirstPass(
            voxels=voxels,
            s0=s0,
            noise=noise,
            late=curves[self.late].mean(axis=0, dtype=np.float64),
            area=self.weights @ curves,
            peak=peak,
            peak_time_s=peak_time,
            psr=psr,
            tsnr=tsnr,
            lowest=lowest,
            finite=np.isfinite(raw).all(axis=0),
            constant=np.ptp(raw[self.bolus.skip :], axis=0) == 0,
        )

    def _peak(self, curves):
        top = np.argmax(curves, axis=0)
        columns = np.arange(curves.shape[1])
        peak = curves[top, columns].astype(np.float64)
        before = curves[np.maximum(top - 1, 0), columns]
        after = curves[np.minimum(top + 1, len(curves) - 1), columns]
        curvature = before - 2.0 * peak + after
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(curvature < 0, 0.5 * (before - after) / curvature, 0.0)
        position = self.bolus.start + top + np.clip(np.nan_to_num(shift), -0.5, 0.5)
        return peak, np.interp(position, np.arange(len(self.times_s)), self.times_s)

    def _recovery(self, raw, s0, window):
        """PSR, temporal signal-to-noise and lowest signal over noise."""
        count = raw.shape[1]
        if not self.raw_signal:
            return np.full(count, np.nan), np.full(count, np.inf), np.full(count, np.inf)
        low = raw[window].min(axis=0).astype(np.float64)
        sd = raw[self.bolus.baseline].std(axis=0, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            tsnr = np.where(sd > 0, s0 / sd, np.inf)
            lowest = np.where(sd > 0, low / sd, np.where(low > 0, np.inf, 0.0))
            if self.recovery is None:
                return np.full(count, np.nan), tsnr, lowest
            recovered = raw[self.recovery].mean(axis=0, dtype=np.float64)
            drop = s0 - low
            psr = 100.0 * (recovered - low) / drop
        # a drop inside the noise has no recovery
        return np.where((drop > 5.0 * sd) & (drop > 0), psr, np.nan), tsnr, lowest


def recovery_frames(times_s, bolus):
    """Frames at which the recovered signal is read, and a note where the usual ones are not there.

    Returns
    -------
    frames : slice or None
        None when the series ends within 20 s of the bolus peak.
    note : str
    """
    after = times_s - times_s[bolus.peak]
    inside = np.flatnonzero((after >= RECOVERY_S[0]) & (after <= RECOVERY_S[1]))
    if len(inside) >= 3:
        return slice(int(inside[0]), int(inside[-1]) + 1), ""
    tail = np.flatnonzero(after >= max(20.0, after[-1] - 15.0))
    if len(tail) >= 3 and not bolus.cut_off:
        note = (
            f"The series ends {after[-1]:.0f} s after the bolus peak: PSR is read from its last "
            f"{len(tail)} frames instead of {RECOVERY_S[0]:.0f} to {RECOVERY_S[1]:.0f} s after the peak."
        )
        return slice(int(tail[0]), int(tail[-1]) + 1), note
    return None, f"The series ends {after[-1]:.0f} s after the bolus peak: PSR cannot be measured."
