"""The kinds of label, one module each: how they are checked, counted, padded and scaled."""
