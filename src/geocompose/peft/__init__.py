"""Parameter-efficient fine-tuning; for now everything learns (`peft=none`)."""
