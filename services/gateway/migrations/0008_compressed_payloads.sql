-- A payload's own length; its body may be kept compressed. NULL: kept as it came.
ALTER TABLE webhooks ADD COLUMN length integer;
