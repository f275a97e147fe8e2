"""Studies: DICOM import, roles of series, frame times, protocol check."""
