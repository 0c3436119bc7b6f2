-- no transaction
DROP INDEX CONCURRENTLY IF EXISTS lexicon_near;
