"""How Chasqui is run elsewhere than in a checkout: its image, Kubernetes, compose, monitoring, and what checks them."""
