"""The stages of the paper's experiment: one file per stage, and a folder of the same name in every run."""
