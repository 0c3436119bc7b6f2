"""Chat exports into conversations: taken in, surveyed, read, stored, and taken away again."""
