"""Radiosurgery planning: fusion, targets, dose review, DICOM."""
