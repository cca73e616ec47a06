"""What can go wrong: the network model, who is hit, and one module for each family of faults."""
