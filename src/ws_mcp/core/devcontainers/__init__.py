"""Dev containers: what they are made from, whether they are out of date, and how they are made anew without loss."""
