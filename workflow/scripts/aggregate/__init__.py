"""Stage aggregate: monthly means."""
