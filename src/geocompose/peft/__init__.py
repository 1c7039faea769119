"""Parameter-efficient fine-tuning: which parts of a backbone are adapted, and how PEFT does it."""
