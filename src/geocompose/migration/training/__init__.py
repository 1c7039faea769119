"""How a TerraTorch run learns, as options of our groups task, optimizer, scheduler and trainer."""
