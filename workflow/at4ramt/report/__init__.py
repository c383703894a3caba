"""Figures, tables and texts of the report; each reads the files of the evaluation."""
