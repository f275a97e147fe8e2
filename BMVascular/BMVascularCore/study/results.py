"""The index of a results folder (``results.json``): what lies where, for scene, pictures and report."""

from dataclasses import dataclass, field

from BMVascularCore import RESEARCH_NOTICE
from BMVascularCore.io import write_volume
from BMVascularCore.io.transforms import write_transform
from BMVascularCore.lesions.shares import share_image
from BMVascularCore.volume import Volume, ras_lps

# name, unit, window and colour table of every map that is shown
MAPS = {
    "nrcbv": ("rCBV (normalised)", "ratio to white matter", (0.0, 6.0), "rCBV"),
    "ktrans": ("Ktrans", "1/min", (0.0, 0.25), "Ktrans"),
    "vp": ("vp", "fraction", (0.0, 0.15), "rCBV"),
    "ve": ("ve", "fraction", (0.0, 0.6), "Ktrans"),
    "iaugc60": ("iAUGC60", "mM s", (0.0, 40.0), "Ktrans"),
    "k2": ("K2 (leakage)", "1/s", (-0.05, 0.05), "Change"),
    "psr": ("PSR", "%", (0.0, 150.0), "rCBV"),
    "cbf": ("CBF (relative)", "mL/100 g/min", (0.0, 150.0), "rCBV"),
    "mtt": ("MTT", "s", (0.0, 12.0), "Ktrans"),
    "tmax": ("Tmax", "s", (0.0, 10.0), "Ktrans"),
    "pet": ("Amino-acid PET", "TBR", (0.0, 4.0), "Ktrans"),
}


@dataclass
class TimePointResults:
    """Files of one time point; see :class:`ResultsIndex`."""

    label: str
    folder: str
    days: float | None
    volumes: list = field(default_factory=list)
    maps: list = field(default_factory=list)
    lesions: dict = field(default_factory=dict)
    habitats: str | None = None
    phenotype_table: str | None = None
    seeds: list = field(default_factory=list)
    lesion_list: list = field(default_factory=list)
    notes: list = field(default_factory=list)


class ResultsIndex:
    """Writes result images into an output folder and keeps the index.

    Parameters
    ----------
    folder : BMVascularCore.io.OutputFolder
    title : str
    simulated : bool
    """

    def __init__(self, folder, title, simulated):
        self.folder = folder
        self.title = title
        self.simulated = simulated
        self.timepoints = []
        self.planning = None

    def add_timepoint(self, label, days):
        """Start a time point; returns its :class:`TimePointResults`."""
        point = TimePointResults(label, f"tp{len(self.timepoints) + 1}", days)
        self.timepoints.append(point)
        return point

    def add_volume(self, point, role, volume, alignment=None):
        """Write an anatomical image and, where it moved, its transform."""
        name = f"{point.folder}/images/{role.lower()}.nrrd"
        write_volume(self.folder.file(name), volume)
        point.volumes.append(
            {"role": role, "name": role, "file": name, "transform": self._transform(point, role, alignment)}
        )

    def add_maps(self, point, kind, maps, geometry, alignment=None):
        """Write parameter maps of one kind (``dsc`` or ``dce``); the known ones enter the index."""
        transform = self._transform(point, kind, alignment)
        for key, array in maps.items():
            name = f"{point.folder}/{kind}/{key}.nrrd"
            write_volume(self.folder.file(name), Volume(array, geometry))
            if key in MAPS:
                title, unit, window, colors = MAPS[key]
                point.maps.append(
                    {
                        "role": key,
                        "name": title,
                        "file": name,
                        "unit": unit,
                        "window": list(window),
                        "colors": colors,
                        "transform": transform,
                    }
                )

    def _transform(self, point, name, alignment):
        if alignment is None or alignment.transform is None:
            return None
        path = f"{point.folder}/transforms/t1c_to_{name.lower()}.tfm"
        write_transform(self.folder.file(path), alignment.transform)
        return path

    def add_lesions(self, point, segmentation):
        """Write labels, compartments and shares of voxels of one time point; the table follows."""
        base = f"{point.folder}/lesions"
        write_volume(self.folder.file(f"{base}/lesions.nrrd"), segmentation.labels)
        write_volume(self.folder.file(f"{base}/compartments.nrrd"), segmentation.compartments)
        write_volume(self.folder.file(f"{base}/shares.nrrd"), share_image(segmentation))
        point.lesions = {
            "labels": f"{base}/lesions.nrrd",
            "shares": f"{base}/shares.nrrd",
            "compartments": f"{base}/compartments.nrrd",
            "table": f"{base}/lesions.csv",
        }

    def add_seeds(self, point, seeds):
        """Note the seeds (RAS mm)."""
        point.seeds = [
            {"name": seed.name, "ras": [round(v, 2) for v in ras_lps(seed.point_lps_mm).tolist()]}
            for seed in seeds
        ]

    def write(self):
        """Write ``results.json``."""
        self.folder.write_json(
            "results.json",
            {
                "title": self.title,
                "simulated": self.simulated,
                "notice": RESEARCH_NOTICE,
                "timepoints": [vars(point) for point in self.timepoints],
                "planning": self.planning,
            },
        )
