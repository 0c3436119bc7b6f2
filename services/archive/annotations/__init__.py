"""What local models say of entries: language, sentiment, entities. An optional extra, off the path of everything else."""
