"""Further drivers and libraries for test mode: each with a call that is fast today, and a clean twin."""
