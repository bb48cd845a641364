"""What the matrix asks every tool: real calls that stall a loop, and real asynchronous work that does not."""
