-- no transaction
-- In one version with the index that takes its place, because there is no release before it: afterwards such a drop waits for the next.
DROP INDEX CONCURRENTLY IF EXISTS lexicon_near;
