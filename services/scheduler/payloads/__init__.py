"""The bodies of what tenants may ask the scheduler, by way of the gateway, which documents them."""
