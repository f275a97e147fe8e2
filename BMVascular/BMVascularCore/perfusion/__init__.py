"""DSC and DCE perfusion."""
