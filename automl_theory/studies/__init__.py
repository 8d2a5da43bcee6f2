"""Papers as commands: what a paper claims, measured anew, with where it agrees, differs or cannot be told."""
