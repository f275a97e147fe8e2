"""MRML bridge: nodes to Core values and back, display, layouts."""
