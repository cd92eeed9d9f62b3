"""Stage cmorize: the submission's files, written by CMOR."""
