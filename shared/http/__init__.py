"""HTTP at the edge of a service: routes declared as data, requests read and checked, every failure a problem document."""
