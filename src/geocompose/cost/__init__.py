"""What a composition costs: parameters, operations, memory."""
