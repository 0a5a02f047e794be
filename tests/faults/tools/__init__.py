"""Each fault tool proven on plain files, before the store is judged with it."""
