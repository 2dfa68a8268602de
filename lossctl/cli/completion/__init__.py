"""Shell completion: completers.py returns the candidates for a word, shells.py speaks to bash, zsh and fish."""
