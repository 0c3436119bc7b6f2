-- Of many numbers few are paused; they are counted by reason, several times a minute.
CREATE INDEX numbers_paused ON numbers (paused) WHERE paused IS NOT NULL;
