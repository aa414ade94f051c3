"""O2P: CPMC segments, second-order pooling, a regression per class, and labellings by greedy pasting."""
