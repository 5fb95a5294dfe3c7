"""What must be the same in two questions for one to stand for the other, however alike their vectors are."""
