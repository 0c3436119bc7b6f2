"""Twilio's Messages resource for WhatsApp, simulated: the same recipients and the same ledger, another way to ask and report."""
