"""DICOM files out, with pydicom 2.4 and 3."""

import pydicom


def save_dicom(path, dataset):
    """Write a dataset as a conforming DICOM file (preamble, file meta information).

    Parameters
    ----------
    path : path-like
    dataset : pydicom.Dataset
        With ``file_meta``.
    """
    if int(pydicom.__version__.split(".")[0]) < 3:
        # pydicom 3 reads these from the transfer syntax
        syntax = dataset.file_meta.TransferSyntaxUID
        dataset.is_little_endian, dataset.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
        pydicom.dcmwrite(path, dataset, write_like_original=False)
    else:
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
