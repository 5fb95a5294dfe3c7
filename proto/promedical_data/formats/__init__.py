"""The file formats of labelled data, one module each."""
