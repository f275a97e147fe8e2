"""DICOM spatial registration object: write and read.

DICOM wants the matrix that takes points of the *source* frame (the MR) into the *registered* frame
(the planning CT). A SimpleITK registration maps the other way, fixed (CT) to moving (MR), so the
matrix written is its inverse; a test proves the direction with points.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence

from BMVascularCore.errors import InputError
from BMVascularCore.planning.contours import transform_matrix
from BMVascularCore.planning.rtstruct import NOTE, new_object

SPATIAL_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.1"
_RIGID_TOLERANCE = 1e-3


@dataclass
class SpatialRegistration:
    """One matrix between two frames of reference.

    Attributes
    ----------
    matrix : ndarray, shape (4, 4)
        Maps LPS points of the source frame to LPS points of the registered frame.
    source_frame_uid, registered_frame_uid : str
    """

    matrix: np.ndarray
    source_frame_uid: str
    registered_frame_uid: str

    def transform(self):
        """``SimpleITK.AffineTransform`` that maps registered (CT) points to source (MR) points."""
        inverse = np.linalg.inv(self.matrix)
        transform = sitk.AffineTransform(3)
        transform.SetMatrix(inverse[:3, :3].ravel().tolist())
        transform.SetTranslation(inverse[:3, 3].tolist())
        return transform


def build_registration(planning, moving, transform):
    """Spatial registration object that carries the moving series into the planning series' frame.

    Parameters
    ----------
    planning, moving : PlanningSeries
    transform : SimpleITK.Transform
        Maps points of the planning series to points of the moving series (ITK's direction).

    Returns
    -------
    pydicom.FileDataset

    Raises
    ------
    InputError
        Another patient, or a matrix that is not rigid.
    """
    if str(planning.first.get("PatientID", "")) != str(moving.first.get("PatientID", "")):
        raise InputError(
            "belongs to another patient ID than the planning series", moving.name, "Check both folders."
        )
    matrix = np.linalg.inv(transform_matrix(transform))
    require_rigid(matrix, "registration")
    same = planning.frame_of_reference_uid == moving.frame_of_reference_uid
    if same and not np.allclose(matrix, np.eye(4), atol=1e-6):
        raise InputError(
            "both series state the same frame of reference, yet the registration moves one against the other",
            moving.name,
            "Give the moving series its own frame of reference, or no registration.",
        )
    data = new_object(planning, SPATIAL_REGISTRATION, "REG", f"MR to CT - {NOTE.lower()}")
    # without a body part the validators ask for a laterality
    data.BodyPartExamined = "BRAIN"
    data.ContentDate, data.ContentTime = data.SeriesDate, data.SeriesTime
    data.ContentLabel = "REGISTRATION"
    data.ContentDescription = f"Rigid, moving series to planning series, {NOTE.lower()}"
    data.ContentCreatorName = ""
    data.RegistrationSequence = Sequence([_item(planning, np.eye(4)), _item(moving, matrix)])
    own, other = _series_item(planning), _series_item(moving)
    if str(planning.first.StudyInstanceUID) == str(moving.first.StudyInstanceUID):
        data.ReferencedSeriesSequence = Sequence([own, other])
    else:
        data.ReferencedSeriesSequence = Sequence([own])
        study = Dataset()
        study.StudyInstanceUID = moving.first.StudyInstanceUID
        study.ReferencedSeriesSequence = Sequence([other])
        data.StudiesContainingOtherReferencedInstancesSequence = Sequence([study])
    return data


def require_rigid(matrix, name):
    """Raise unless a 4x4 matrix is a rotation with a translation (no scale, shear or mirror)."""
    rotation = matrix[:3, :3]
    if not np.isfinite(matrix).all() or np.abs(rotation @ rotation.T - np.eye(3)).max() > _RIGID_TOLERANCE:
        raise InputError("is not rigid: it scales or shears", name, "Give a rigid registration.")
    if np.linalg.det(rotation) < 0:
        raise InputError("mirrors left and right", name, "Give a rigid registration.")


def _item(series, matrix):
    part = Dataset()
    part.FrameOfReferenceTransformationMatrixType = "RIGID"
    part.FrameOfReferenceTransformationMatrix = [matrix_string(value) for value in matrix.ravel()]
    step = Dataset()
    step.MatrixSequence = Sequence([part])
    step.FrameOfReferenceTransformationComment = NOTE
    step.RegistrationTypeCodeSequence = Sequence([_registration_code()])
    item = Dataset()
    item.FrameOfReferenceUID = series.frame_of_reference_uid
    item.MatrixRegistrationSequence = Sequence([step])
    item.ReferencedImageSequence = Sequence([_image(header) for header in series.headers])
    return item


def _registration_code():
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "125024", "DCM"
    code.CodeMeaning = "Image Content-based Alignment"
    return code


def matrix_string(value):
    """Decimal string of a matrix element: at most 16 characters, as precise as these allow."""
    for digits in range(15, 0, -1):
        text = f"{float(value) + 0.0:.{digits}g}"
        if len(text) <= 16:
            return text
    raise InputError(f"{value} cannot be written as a decimal string", "registration", "Check the matrix.")


def _image(header):
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _series_item(series):
    item = Dataset()
    item.SeriesInstanceUID = series.first.SeriesInstanceUID
    item.ReferencedInstanceSequence = Sequence([_image(header) for header in series.headers])
    return item


def read_registration(path, registered_frame_uid=None):
    """Read a rigid spatial registration object.

    Parameters
    ----------
    path : path-like
    registered_frame_uid : str, optional
        The frame to carry into; the object's own frame of reference by default.

    Returns
    -------
    list of SpatialRegistration
        One for each other frame; matrices are composed in the order of the object.

    Raises
    ------
    InputError
        No registration object, deformable, not rigid, or another frame of reference.
    """
    name = Path(path).name
    try:
        data = pydicom.dcmread(path)
    except (InvalidDicomError, OSError) as error:
        raise InputError("cannot be read as DICOM", name, "Give a spatial registration object.") from error
    if str(data.get("SOPClassUID")) != SPATIAL_REGISTRATION:
        raise InputError("is not a rigid spatial registration object", name, "Export the rigid registration.")
    wanted = registered_frame_uid or str(data.FrameOfReferenceUID)
    matrices = {str(item.FrameOfReferenceUID): _matrix_of(item, name) for item in data.RegistrationSequence}
    common = str(data.FrameOfReferenceUID)
    matrices.setdefault(common, np.eye(4))
    if wanted not in matrices:
        raise InputError(
            "does not concern the frame of reference of the planning series", name, "Give the right object."
        )
    back = np.linalg.inv(matrices[wanted])
    return [SpatialRegistration(back @ m, uid, wanted) for uid, m in matrices.items() if uid != wanted]


def _matrix_of(item, name):
    matrix = np.eye(4)
    for step in item.get("MatrixRegistrationSequence", []):
        for part in step.MatrixSequence:
            values = np.array([float(v) for v in part.FrameOfReferenceTransformationMatrix])
            matrix = values.reshape(4, 4) @ matrix
    require_rigid(matrix, name)
    return matrix
