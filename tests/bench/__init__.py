"""The benchmark: what this package costs and how long it takes, beside what people use. ``make bench``."""
