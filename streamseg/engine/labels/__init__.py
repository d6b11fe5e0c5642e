"""Labels sections: descriptor, similarity, store, clusterer, HMM filter, roles."""
