"""How the cells of a sweep are computed: one after the other, in processes, on clusters."""
