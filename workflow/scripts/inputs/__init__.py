"""Files that come from outside, read and checked: ERA5 as the CDS delivers it, and the AIMIP forcing."""
