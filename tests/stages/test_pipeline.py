"""The whole chain with the real DVC on 20 rows: what runs, and above all what does not run again."""
