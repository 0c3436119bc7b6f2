"""Files: one seam over a folder and S3-compatible stores."""
