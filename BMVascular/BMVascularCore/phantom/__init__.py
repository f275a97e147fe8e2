"""The simulated patient: images from signal equations, with every truth kept."""

from BMVascularCore.phantom.dicom import write_dicom
from BMVascularCore.phantom.files import write_study, write_truth
from BMVascularCore.phantom.patient import SimulatedPatient, TimePoint, build_patient

__all__ = ["SimulatedPatient", "TimePoint", "build_patient", "write_dicom", "write_study", "write_truth"]
