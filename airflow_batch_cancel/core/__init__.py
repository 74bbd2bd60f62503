"""What stopping an AWS Batch job means, as pure values and functions. Standard library only."""
