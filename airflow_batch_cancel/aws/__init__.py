"""The way to the AWS Batch API: one gateway over one botocore client, and the stop procedure on top of it."""
