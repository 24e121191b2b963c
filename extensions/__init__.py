"""What a service can be extended with."""
