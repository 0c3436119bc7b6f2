"""What can be known of a deployment without a cluster: every overlay is rendered and held against schemas, policy and the code."""
