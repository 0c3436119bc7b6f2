"""Events: what they are (`event`), which there are (`catalogue`), and how they travel (`codec`)."""
