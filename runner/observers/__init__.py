"""What nodes say of themselves and what the kernel says of them, as facts."""
