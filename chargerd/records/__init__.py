"""What happened: the ring of samples, the chain of settlement and battery records."""
