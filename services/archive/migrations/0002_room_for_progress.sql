-- A row is updated two or three times within seconds of its making, all rows of a page at about the same time. With that much room
-- beside them the new versions stay on the page, and off the index (HOT).
ALTER TABLE outgoing SET (fillfactor = 45);
