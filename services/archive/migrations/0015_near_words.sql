-- no transaction
-- Only words that a typing error is looked for in. Most lexemes that are new are none - conversations, days, codes and phone numbers -
-- and an index of all of them has an entry for each, without keys: 98 against 63 us of the database a message that brings two of them.
CREATE INDEX CONCURRENTLY IF NOT EXISTS lexicon_near_words ON lexicon USING gin (near_keys(lexeme)) WITH (fastupdate = off)
    WHERE lexeme ~ '^[0-9]+:[^0-9]{4,20}$';
