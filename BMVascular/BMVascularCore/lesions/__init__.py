"""Lesions: from a click to a measured segmentation."""
