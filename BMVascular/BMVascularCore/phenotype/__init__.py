"""Vascular phenotype of lesions: evidence, rules, stability, habitats, change."""
