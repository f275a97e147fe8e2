"""The choices of the perfusion panel, with the words that people read."""

import enum

from slicer.i18n import tr as _


class Kind(enum.Enum):
    """Kind of dynamic series."""

    DSC = "DSC"
    DCE = "DCE"

    def label(self):
        """Text in the panel."""
        return {"DSC": _("DSC (blood volume)"), "DCE": _("DCE (permeability)")}[self.value]


class Preload(enum.Enum):
    """Preload dose before the DSC bolus."""

    UNKNOWN = "unknown"
    NO = "no"
    YES = "yes"

    def label(self):
        """Text in the panel."""
        return {"unknown": _("not known"), "no": _("none"), "yes": _("given")}[self.value]


class Leakage(enum.Enum):
    """Leakage correction."""

    AUTO = "auto"
    BSW = "bsw"
    BIDIRECTIONAL = "bidirectional"
    NONE = "none"

    def label(self):
        """Text in the panel."""
        return {
            "auto": _("automatic for each voxel (AICc)"),
            "bsw": _("one-way (Boxerman)"),
            "bidirectional": _("two-way (Leu)"),
            "none": _("none"),
        }[self.value]


class Deconvolution(enum.Enum):
    """Deconvolution."""

    OSVD = "osvd"
    CSVD = "csvd"
    SSVD = "ssvd"
    NONE = "none"

    def label(self):
        """Text in the panel."""
        return {
            "osvd": _("oSVD (oscillation limit)"),
            "csvd": _("cSVD (block-circulant)"),
            "ssvd": _("sSVD (standard)"),
            "none": _("none: no flow maps"),
        }[self.value]


class Motion(enum.Enum):
    """Motion correction."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"

    def label(self):
        """Text in the panel."""
        return {"auto": _("where it helps"), "on": _("always"), "off": _("off")}[self.value]


class Model(enum.Enum):
    """Tracer kinetic model."""

    AUTO = "auto"
    ETOFTS = "etofts"
    TOFTS = "tofts"
    PATLAK = "patlak"
    EXCHANGE = "2cxm"

    def label(self):
        """Text in the panel."""
        return {
            "auto": _("automatic for each voxel (AICc)"),
            "etofts": _("extended Tofts"),
            "tofts": _("Tofts"),
            "patlak": _("Patlak"),
            "2cxm": _("two-compartment exchange"),
        }[self.value]


class T1(enum.Enum):
    """T1 before contrast."""

    VFA = "vfa"
    FIXED = "fixed"
    NONE = "none"

    def label(self):
        """Text in the panel."""
        return {
            "vfa": _("from variable flip angles"),
            "fixed": _("one value for all voxels"),
            "none": _("none (relative wash-in only)"),
        }[self.value]


class DscAif(enum.Enum):
    """Arterial input function of DSC."""

    AUTO = "auto"
    POINTS = "points"
    NONE = "none"

    def label(self):
        """Text in the panel."""
        return {
            "auto": _("arteries, found automatically"),
            "points": _("the voxels below"),
            "none": _("none: no flow maps"),
        }[self.value]


class DceAif(enum.Enum):
    """Plasma input function of DCE."""

    AUTO = "auto"
    POINTS = "points"
    BRAIN = "brain"
    PARKER = "parker"
    GEORGIOU = "georgiou"
    WEINMANN = "weinmann"

    def label(self):
        """Text in the panel."""
        return {
            "auto": _("sagittal sinus, found automatically"),
            "points": _("the voxels below"),
            "brain": _("population, brain (Heye 2016)"),
            "parker": _("population (Parker 2006)"),
            "georgiou": _("population (Georgiou 2019)"),
            "weinmann": _("population (Weinmann 1984)"),
        }[self.value]
