"""`evalkit view`: a local page over a folder of runs. It reads run directories and writes nothing into them."""
