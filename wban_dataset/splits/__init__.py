"""Who trains, who tests, and the proof that they are strangers."""
