"""highdicom, where there is one: Slicer brings it from 5.12 on."""

from BMVascularCore.errors import InputError


class _Highdicom:
    """Imports highdicom when a name of it is first needed; without it that ends in one sentence."""

    def __getattr__(self, name):
        try:
            import highdicom
            import highdicom.seg
            import highdicom.sr
        except ImportError as error:
            raise InputError(
                "DICOM segmentations and structured reports need highdicom",
                "the Python packages",
                "Use Slicer 5.12 or newer; tables, label images and structure sets do without it.",
            ) from error
        return getattr(highdicom, name)


highdicom = _Highdicom()
