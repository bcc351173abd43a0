"""Token ids in, batches out: seeded, resumable, the same for any number of processes."""
