-- A message is written two or three times, each time longer, and sooner than its former versions can be pruned: where there is room for
-- the next on its page the index is left alone (HOT). A sixth of the writes found none, now it is one in sixteen, and on the disk a
-- message takes a tenth more.
ALTER TABLE messages SET (fillfactor = 35);
