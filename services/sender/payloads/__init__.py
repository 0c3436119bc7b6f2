"""The bodies of what tenants may ask the sender, by way of the gateway, which documents them."""
