"""How fast work may leave, agreed between all replicas."""
