"""The simulated patient: images from signal equations, with every truth kept."""

from BMVascularCore.phantom.patient import SimulatedPatient, TimePoint, build_patient

__all__ = ["SimulatedPatient", "TimePoint", "build_patient"]
