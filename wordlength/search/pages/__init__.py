"""HTML pages that need nothing else: their parts, their look, the analysis of a trial."""
