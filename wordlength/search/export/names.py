"""What the files of a bundle are called."""

CONFIG = "config.json"
MODEL, NETWORK, REPORT, PAGE = "qkeras_model.keras", "network.json", "report.md", "report.html"
WEIGHTS, WEIGHT_TABLE, SOURCES, VECTORS = "weights.bin", "weights.json", "c", "vectors"
NEEDED = (CONFIG, WEIGHTS, WEIGHT_TABLE, NETWORK, MODEL, REPORT)
