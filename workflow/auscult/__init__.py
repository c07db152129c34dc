"""auscult: from labelled body-sound recordings to cross-validation tables that can be believed."""

__version__ = "0.1.0"
