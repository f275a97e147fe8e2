"""Small planning CTs, spheres and doses with closed forms, made on the spot."""

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from BMVascularCore.io.dicom_files import save_dicom
from BMVascularCore.volume import Geometry


def image_headers(heights, pixels=64, spacing=1.0, origin=(-32.0, -32.0), modality="CT", **changes):
    """Headers of axial slices at the given heights; ``changes`` set further elements."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    headers = []
    for n, z in enumerate(heights, start=1):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = (
            "Phantom^Test",
            "PH1",
            "",
            "O",
        )
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260101", "120000", "1", ""
        data.ReferringPhysicianName = data.PositionReferenceIndicator = ""
        data.Modality, data.PatientPosition, data.InstanceNumber = modality, "HFS", n
        data.ImagePositionPatient = [*origin, float(z)]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing = [spacing, spacing]
        data.SliceThickness = float(np.median(np.diff(sorted(heights)))) if len(heights) > 1 else 1.0
        data.Rows = data.Columns = pixels
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.PixelData = np.zeros((pixels, pixels), np.int16).tobytes()
        for key, value in changes.items():
            setattr(data, key, value)
        headers.append(data)
    return headers


def write_series(folder, headers):
    """Write headers as files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, header in enumerate(headers):
        save_dicom(folder / f"{n:04d}.dcm", header)
    return folder


def grid(shape=(48, 48, 48), spacing=(1.0, 1.0, 1.0)):
    """A grid centred on the origin."""
    origin = tuple(-0.5 * (n - 1) * s for n, s in zip(shape[::-1], spacing, strict=True))
    return Geometry(shape, spacing, origin)


def radius(geometry, centre=(0.0, 0.0, 0.0)):
    """Distance of every voxel from a point, mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), axis=-1)
    return np.linalg.norm(geometry.points_of(index) - np.asarray(centre), axis=-1)


def sphere(geometry, diameter, centre=(0.0, 0.0, 0.0)):
    """Mask of the voxels whose centre lies in a sphere."""
    return radius(geometry, centre) <= diameter / 2.0


def sphere_ml(diameter):
    return np.pi * diameter**3 / 6000.0


def lens_ml(r, big, d):
    """What two balls of radius r and big, d mm apart, have in common, mL."""
    if d <= abs(big - r):
        return 4 / 3 * np.pi * min(r, big) ** 3 / 1000.0
    if d >= big + r:
        return 0.0
    part = d * d + 2 * d * r - 3 * r * r + 2 * d * big + 6 * r * big - 3 * big * big
    return np.pi * (big + r - d) ** 2 * part / (12 * d) / 1000.0


def sphere_contours(diameter, step=1.0, centre=(0.0, 0.0, 0.0), n_points=90):
    """Circles of a sphere on planes at multiples of the step; area-preserving polygons."""
    half = diameter / 2.0
    heights = step * np.arange(np.ceil((centre[2] - half) / step), np.floor((centre[2] + half) / step) + 1)
    angle = 2 * np.pi * np.arange(n_points) / n_points
    swell = np.sqrt(np.pi / (0.5 * n_points * np.sin(2 * np.pi / n_points)))
    rings = []
    for z in heights:
        r = swell * np.sqrt(max(half**2 - (z - centre[2]) ** 2, 0.0))
        if r > 0.05:
            ring = [centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle), np.full(n_points, z)]
            rings.append(np.stack(ring, axis=1))
    return rings


def peaked_dose(diameter, r50, prescription=20.0, peak=25.0):
    """Radial dose peak / (1 + (r/a)^p) with the prescription at the surface and half of it at r50."""
    surface = diameter / 2.0
    odds_surface, odds_half = peak / prescription - 1.0, 2.0 * peak / prescription - 1.0
    p = np.log(odds_half / odds_surface) / np.log(r50 / surface)
    a = surface / odds_surface ** (1.0 / p)
    return (lambda r: peak / (1.0 + (r / a) ** p)), (lambda dose: a * (peak / dose - 1.0) ** (1.0 / p))
