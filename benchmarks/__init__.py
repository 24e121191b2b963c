"""What the rendered service costs, measured."""
