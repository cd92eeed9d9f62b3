"""A general circulation model that anyone can run, SPEEDY by jcm, and its climate as files in the layout of the CDS."""
