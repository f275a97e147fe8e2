"""The report: pictures, tables and text in one HTML file."""
