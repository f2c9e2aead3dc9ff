"""Training data: windows, baking, the packed format, batch plans, loading."""
