"""Building blocks that several stacks share."""
