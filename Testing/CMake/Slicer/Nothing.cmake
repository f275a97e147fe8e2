# Slicer writes its package configuration here.
