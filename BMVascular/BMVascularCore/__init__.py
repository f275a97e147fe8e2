"""The science of BMVascular: numpy and SimpleITK, without Slicer, VTK or Qt.

One sub-package for each thing that a clinician would name: ``study``, ``perfusion``,
``lesions``, ``phenotype``, ``planning``, ``report`` and ``phantom`` (the simulated patient).
"""

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research use only. Not a medical device. Not a treatment recommendation."
