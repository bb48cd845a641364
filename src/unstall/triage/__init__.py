"""What a run or a reading of source comes to: what is shown, what somebody answers for, what is known."""
