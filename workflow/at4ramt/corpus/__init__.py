"""Corpora: the embedded one and how it is rendered, MAPS, MAESTRO and any folder."""
