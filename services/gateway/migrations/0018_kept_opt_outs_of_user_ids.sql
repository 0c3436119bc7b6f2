-- People without a phone number are written to by their business-scoped user id: it is kept the same way. No phone number is one.
COMMENT ON COLUMN kept_opt_outs.phone IS 'the address: a phone number, or a business-scoped user id';
