"""Quick writing of many DICOM files that differ in a few fields.

A series of two thousand files differs from file to file in position, numbers, times and pixels. The
header is encoded once by pydicom with the widest value in each such field; for each file only these
fields are filled in, padded as DICOM pads text (spaces; zero bytes for UIDs).
"""

import io
import struct

from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from BMVascularCore.io.dicom_files import save_dicom

_IMPLEMENTATION_UID = "2.25.148127613091528146391562037714563128745"
# Widest value of each field that may change: (tag, value representation, text).
_FIELDS = {
    "MediaStorageSOPInstanceUID": ((0x0002, 0x0003), b"UI", None),
    "SOPInstanceUID": ((0x0008, 0x0018), b"UI", None),
    "AcquisitionDate": ((0x0008, 0x0022), b"DA", "20000101"),
    "AcquisitionTime": ((0x0008, 0x0032), b"TM", "000000.000000"),
    "ContentTime": ((0x0008, 0x0033), b"TM", "000000.000000"),
    "TriggerTime": ((0x0018, 0x1060), b"DS", "1234567890.12345"),
    "AcquisitionNumber": ((0x0020, 0x0012), b"IS", "99999999"),
    "InstanceNumber": ((0x0020, 0x0013), b"IS", "99999999"),
    "ImagePositionPatient": ((0x0020, 0x0032), b"DS", ["-12345.123456789"] * 3),
    "TemporalPositionIdentifier": ((0x0020, 0x0100), b"IS", "99999999"),
    "SliceLocation": ((0x0020, 0x1041), b"DS", "-12345.123456789"),
}


def save(ds, path):
    """Write one dataset as Explicit VR Little Endian, with pydicom 2.4 or 3."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = "BMVASCULAR"
    ds.file_meta = meta
    save_dicom(path, ds)


class FileTemplate:
    """Encoded header of a series with open fields.

    Parameters
    ----------
    ds : pydicom.Dataset
        What all files share, without pixels.
    uid : str
        A SOP instance UID as long as those of the files will be.
    dynamic : bool
        Whether files carry frame numbers and times.
    """

    def __init__(self, ds, uid, dynamic):
        ds.SOPInstanceUID = uid
        names = [
            name for name in _FIELDS if dynamic or name not in ("TriggerTime", "TemporalPositionIdentifier")
        ]
        for name in names:
            if _FIELDS[name][2] is not None:
                setattr(ds, name, _FIELDS[name][2])
        buffer = io.BytesIO()
        save(ds, buffer)
        self.header = buffer.getvalue()
        self.slots = {name: self._slot(*_FIELDS[name][:2]) for name in names}

    def _slot(self, tag, vr):
        """Place and length of a field's value."""
        mark = struct.pack("<HH", *tag) + vr
        start = self.header.index(mark) + len(mark)
        return start + 2, struct.unpack("<H", self.header[start : start + 2])[0]

    def write(self, path, values, pixels):
        """Write one file.

        Parameters
        ----------
        path : path-like
        values : dict of str to str
            Field name to text; each as long as its field or shorter.
        pixels : bytes
            Of even length.
        """
        header = bytearray(self.header)
        for name, text in values.items():
            start, length = self.slots[name]
            pad = b"\0" if name.endswith("UID") else b" "
            header[start : start + length] = text.encode("ascii").ljust(length, pad)
        header += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(pixels))
        with open(path, "wb") as file:
            file.write(header)
            file.write(pixels)
