"""The simulated patient: images from signal equations, with every truth kept."""
