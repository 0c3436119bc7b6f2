-- The planner asks which runs of a schedule are on, among however many it has had.
CREATE INDEX runs_open_of_owner ON runs (owner_id) WHERE state IN ('expanding', 'running', 'paused');
