"""The providers behind one seam: whose API a number's messages go through, and what the answers mean."""
