"""The one way services talk: batches of events over RabbitMQ or, in one process, over memory."""
