"""Running in tensors: the base, the packed batch, attention, the cache, the sampler."""
