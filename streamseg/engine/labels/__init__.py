"""Labels: section descriptor, similarity, store, clusterer, HMM filter, roles."""
