"""The same work done with a task queue: a queue and a POST, as each project's own guide has it."""
