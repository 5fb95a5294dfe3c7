"""What computes: trees in, one number per leaf out."""
